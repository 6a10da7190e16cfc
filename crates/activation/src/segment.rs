//! Chains of operations over tiles, a block of registers at a time: what the steps of several chains leave stays in
//! registers or in the first cache until it is needed.
//!
//! A loop for each chain would read and write whole tiles, which takes longer than arithmetic does. Segments of one or two
//! steps of arithmetic are the exception ([`Few`]).

use crate::chain::{MOST_OPERANDS, Step};
use crate::functions;
use crate::simd::arch;
use crate::tile::Tile;
use crate::watch::Watch;
use crate::{Algebra, Lanes};
use pulp::{Simd, WithSimd};

/// Most chains of a segment: each leaves one result, which is kept or written.
pub(crate) const MOST_CHAINS: usize = 16;

/// Numbers of the memory for results that are kept and for constants, with the widest registers.
pub(crate) const KNOWN: usize = (MOST_CHAINS + MOST_OPERANDS) * WIDE_BLOCK * 16;

/// Registers that go through the steps together: what a step is, is found out once for all of them. Of wide registers
/// there are twice as many.
const BLOCK: usize = 8;
const WIDE_BLOCK: usize = 16;

/// Steps of chains, and where their operands are.
#[derive(Debug, Clone)]
pub(crate) struct Segment<O> {
    steps: Vec<Step>,
    /// The same, where each runs over a whole tile.
    few: Option<Few>,
    operands: Vec<O>,
}

/// An operand of a segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Operand<O> {
    /// Numbers of a tile, or a constant.
    Of(O),
    /// The result of a chain of this segment, kept under this number.
    Kept(usize),
}

impl<O: Copy + PartialEq> Segment<O> {
    /// Of these steps.
    pub(crate) fn new(steps: impl IntoIterator<Item = Step<Operand<O>>>) -> Self {
        let mut operands = Vec::new();
        let mut place = |operand| match operand {
            Operand::Kept(kept) => kept,
            Operand::Of(operand) => {
                MOST_CHAINS
                    + operands.iter().position(|known| *known == operand).unwrap_or_else(|| {
                        operands.push(operand);
                        operands.len() - 1
                    })
            }
        };
        let steps: Vec<Step> = steps.into_iter().map(|step| step.map(&mut place)).collect();
        Self { few: Few::of(&steps), steps: merged(&steps), operands }
    }

    /// Whether it reads its operands once, and writes each result once.
    pub(crate) fn is_one_pass(&self) -> bool {
        self.few.as_ref().is_none_or(|few| few.steps.len() == 1)
    }

    /// Writes the results to `targets`, whole registers of one length, where `find` finds operands. `known` are
    /// [`KNOWN`] numbers that it may write over. Whether a result may be NaN.
    #[inline]
    pub(crate) fn run<'a>(
        &self,
        find: impl Fn(O) -> Tile<'a>,
        known: &mut [f32],
        targets: &mut [&mut [f32]],
    ) -> bool {
        let mut operands = [Tile::One(0.0); MOST_OPERANDS];
        for (to, operand) in operands.iter_mut().zip(&self.operands) {
            *to = find(*operand);
        }
        let operands = &operands[..self.operands.len()];
        let Self { steps, few, .. } = self;
        arch().dispatch(Run { steps, few: few.as_ref(), operands, known, targets })
    }
}

/// The steps, where one takes the place of two if it can: what it costs to find out what a step is, is paid for each.
fn merged(steps: &[Step]) -> Vec<Step> {
    let mut merged: Vec<Step> = Vec::new();
    for step in steps {
        let (mut step, mut before) = (*step, merged.pop());
        while let Some(both) = before.and_then(|before| before.and(step)) {
            (step, before) = (both, merged.pop());
        }
        merged.extend(before.into_iter().chain([step]));
    }
    merged
}

/// Sums of a watch: as many multiply-adds are under way at once.
const WATCHED: usize = 4;

struct Run<'run, 'target> {
    steps: &'run [Step],
    few: Option<&'run Few>,
    operands: &'run [Tile<'run>],
    known: &'run mut [f32],
    targets: &'run mut [&'target mut [f32]],
}

impl WithSimd for Run<'_, '_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        if size_of::<S::f32s>() == 64 {
            self.blocks::<S, WIDE_BLOCK>(simd)
        } else {
            self.blocks::<S, BLOCK>(simd)
        }
    }
}

impl Run<'_, '_> {
    /// Whether a result may be NaN.
    #[inline(always)]
    fn blocks<S: Simd, const N: usize>(self, simd: S) -> bool {
        let Self { steps, few, operands, known, targets } = self;
        let known = S::as_mut_simd_f32s(known).0;
        let numbers = targets.first().map_or(0, |target| target.len());
        let registers = numbers / (size_of::<S::f32s>() / size_of::<f32>());
        let whole = registers / N * N;
        let mut blocks = Block::<S, N>::new(simd, operands, &mut *known);
        let mut watch = Watch::new(simd);
        if let Some(few) = few {
            let target = S::as_mut_simd_f32s(targets[few.target]).0.as_chunks_mut::<N>().0;
            let mut first = Some(few.first);
            for step in &few.steps {
                // Of what the last step leaves.
                watch = blocks.run_alone(simd, first.take(), *step, target);
            }
        } else {
            // A loop, and no `for_each`: a closure would be compiled without the instructions of this function.
            for block in 0..registers / N {
                blocks.run(simd, steps, block, targets, &mut watch);
            }
        }
        if whole < registers && registers >= N {
            // The last block once more, from where it is whole: what is computed twice has the same bits.
            let from = (registers - N) * (numbers / registers);
            let mut last = [Tile::One(0.0); MOST_OPERANDS];
            for (last, operand) in last.iter_mut().zip(operands) {
                *last = operand.from(from);
            }
            let count = targets.len();
            let mut ends: [&mut [f32]; MOST_CHAINS] = Default::default();
            for (end, target) in ends.iter_mut().zip(targets.iter_mut()) {
                *end = &mut target[from..];
            }
            let mut block = Block::<S, N>::new(simd, &last[..operands.len()], known);
            block.run(simd, steps, 0, &mut ends[..count], &mut watch);
        } else {
            let mut single = Block::<S, 1>::new(simd, operands, known);
            for at in whole..registers {
                single.run(simd, steps, at, targets, &mut watch);
            }
        }
        watch.is_alarmed()
    }
}

/// What each step of arithmetic does, by a macro `each` for steps of so many operands; `others` are the arms of other steps.
macro_rules! arithmetic {
    ($step:expr, $each:ident, { $($others:tt)* }) => {
        match $step {
            Step::Neg => $each!(|r| -r),
            Step::Square => $each!(|r| r.square()),
            Step::Abs => $each!(|r| Algebra::abs(r)),
            Step::Add(a) => $each!(a, |r, a| r + a),
            Step::Sub(a) => $each!(a, |r, a| r - a),
            Step::SubFrom(a) => $each!(a, |r, a| a - r),
            Step::Mul(a) => $each!(a, |r, a| r * a),
            Step::Div(a) => $each!(a, |r, a| r / a),
            Step::DivInto(a) => $each!(a, |r, a| a / r),
            Step::DivideBy(number) => $each!(|r| r / number),
            Step::MulAdd(a, b) => $each!(a, b, |r, a, b| r.mul_add(a, b)),
            Step::AddProduct(a, b) => $each!(a, b, |r, a, b| a.mul_add(b, r)),
            Step::Max(bound) => $each!(|r| Algebra::max(r, bound)),
            Step::Min(bound) => $each!(|r| Algebra::min(r, bound)),
            Step::Select(threshold, a, b) => $each!(a, b, |r, a, b| r.select(threshold, a, b)),
            // What stands twice is read once.
            Step::AtMost(x, threshold, b) if x == b => {
                $each!(x, |r, x| x.select(threshold, r, x))
            }
            Step::Above(x, threshold, a) if x == a => {
                $each!(x, |r, x| x.select(threshold, x, r))
            }
            Step::MulAtMost(a, x, threshold, b) if x == b => {
                $each!(a, x, |r, a, x| x.select(threshold, r * a, x))
            }
            Step::AtMost(x, threshold, b) => $each!(x, b, |r, x, b| x.select(threshold, r, b)),
            Step::Above(x, threshold, a) => $each!(x, a, |r, x, a| x.select(threshold, a, r)),
            Step::MulMul(a, b) => $each!(a, b, |r, a, b| r * a * b),
            Step::MulThenAdd(a, b) => $each!(a, b, |r, a, b| r * a + b),
            Step::AddMul(a, b) => $each!(a, b, |r, a, b| (r + a) * b),
            Step::SubFromMul(a, b) => $each!(a, b, |r, a, b| (a - r) * b),
            Step::SquareSubFrom(a) => $each!(a, |r, a| a - r.square()),
            Step::MulAtMost(a, x, threshold, b) => {
                $each!(a, x, b, |r, a, x, b| x.select(threshold, r * a, b))
            }
            Step::MulAbove(a, x, threshold, b) => {
                $each!(a, x, b, |r, a, x, b| x.select(threshold, b, r * a))
            }
            $($others)*
        }
    };
}

/// Registers of an operand: those of each block, or the same for all blocks.
#[derive(Clone, Copy)]
struct Registers<'a, S: Simd, const N: usize> {
    blocks: &'a [[S::f32s; N]],
    /// All bits where each block has its own, and none where they have the same.
    mask: usize,
}

/// What steps find at hand.
///
/// A constant is as many registers as a block has. If it were one, each step would be compiled twice, and the choice
/// between the two would go through memory.
struct Block<'a, S: Simd, const N: usize> {
    /// Results that were kept.
    kept: &'a mut [[S::f32s; N]],
    operands: [Registers<'a, S, N>; MOST_OPERANDS],
}

impl<'a, S: Simd, const N: usize> Block<'a, S, N> {
    #[inline(always)]
    fn new(simd: S, tiles: &[Tile<'a>], known: &'a mut [S::f32s]) -> Self {
        let (kept, mut constants) = known.as_chunks_mut::<N>().0.split_at_mut(MOST_CHAINS);
        let mut operands = [Registers { blocks: &[], mask: 0 }; MOST_OPERANDS];
        for (operand, tile) in operands.iter_mut().zip(tiles) {
            *operand = match *tile {
                Tile::Each(numbers) => {
                    let blocks = S::as_simd_f32s(numbers).0.as_chunks::<N>().0;
                    Registers { blocks, mask: usize::MAX }
                }
                Tile::One(number) => {
                    let constant = constants.split_off_mut(..1).unwrap_or_default();
                    constant.fill([simd.splat_f32s(number); N]);
                    Registers { blocks: constant, mask: 0 }
                }
            };
        }
        Self { kept, operands }
    }

    /// The registers of an operand of a step, in a block.
    #[inline(always)]
    fn operand(&self, operand: usize, block: usize) -> &[S::f32s; N] {
        if operand < MOST_CHAINS {
            return &self.kept[operand];
        }
        let Registers { blocks, mask } = self.operands[operand - MOST_CHAINS];
        &blocks[block & mask]
    }

    /// All steps for `N` registers, and a watch of what they write.
    #[inline(always)]
    fn run(
        &mut self,
        simd: S,
        steps: &[Step],
        block: usize,
        targets: &mut [&mut [f32]],
        watch: &mut Watch<S, WATCHED>,
    ) {
        let mut r = [Lanes::new(simd, simd.splat_f32s(0.0)); N];
        macro_rules! each {
            ($($a:ident,)* |$r:ident $(, $x:ident)*| $value:expr) => {{
                $(let $a = self.operand($a, block);)*
                for i in 0..N {
                    let $r = r[i];
                    $(let $x = Lanes::new(simd, $a[i]);)*
                    r[i] = $value;
                }
            }};
        }
        for step in steps {
            arithmetic!(*step, each, {
                Step::Load(a) => each!(a, |_r, a| a),
                Step::LoadMul(a, b) => each!(a, b, |_r, a, b| a * b),
                Step::LoadAdd(a, b) => each!(a, b, |_r, a, b| a + b),
                Step::Function(f, factor) => {
                    let mut registers = [simd.splat_f32s(0.0); N];
                    for i in 0..N {
                        registers[i] = r[i].into_inner();
                    }
                    functions::apply(f, simd, factor, &mut registers);
                    for i in 0..N {
                        r[i] = Lanes::new(simd, registers[i]);
                    }
                }
                Step::ErfcAndGaussian(factor, place) => {
                    let mut registers = [simd.splat_f32s(0.0); N];
                    for i in 0..N {
                        registers[i] = r[i].into_inner();
                    }
                    let gaussian = &mut self.kept[place];
                    functions::erfc_and_gaussian(simd, factor, &mut registers, gaussian);
                    for i in 0..N {
                        r[i] = Lanes::new(simd, registers[i]);
                    }
                }
                Step::Keep(place) => {
                    let kept = &mut self.kept[place];
                    for i in 0..N {
                        kept[i] = r[i].into_inner();
                    }
                }
                Step::Store(target) => {
                    let blocks = S::as_mut_simd_f32s(targets[target]).0.as_chunks_mut::<N>().0;
                    let registers = &mut blocks[block];
                    for i in 0..N {
                        registers[i] = r[i].into_inner();
                        watch.look_as(i, registers[i]);
                    }
                }
            });
        }
    }

    /// One step for all blocks of a target, where r is an operand `first`, or what the target has; and a watch of what it
    /// leaves.
    #[inline(always)]
    fn run_alone(
        &self,
        simd: S,
        first: Option<usize>,
        step: Step,
        target: &mut [[S::f32s; N]],
    ) -> Watch<S, WATCHED> {
        let mut watch = Watch::new(simd);
        macro_rules! each {
            ($($a:ident,)* |$r:ident $(, $x:ident)*| $value:expr) => {
                for (block, target) in target.iter_mut().enumerate() {
                    let r = match first {
                        Some(first) => *self.operand(first, block),
                        None => *target,
                    };
                    $(let $a = self.operand($a, block);)*
                    for i in 0..N {
                        let $r = Lanes::new(simd, r[i]);
                        $(let $x = Lanes::new(simd, $a[i]);)*
                        target[i] = $value.into_inner();
                        watch.look_as(i, target[i]);
                    }
                }
            };
        }
        arithmetic!(step, each, {
            Step::Load(_) | Step::LoadMul(..) | Step::LoadAdd(..) => unreachable!("the first is given"),
            Step::Function(..) | Step::ErfcAndGaussian(..) => unreachable!("a loop by itself"),
            Step::Keep(_) | Step::Store(_) => unreachable!("arithmetic alone"),
        });
        watch
    }
}

/// Steps that take less time one by one, each for the whole target, than block by block: what is read and written in between
/// costs less than to find out for each block which step it is.
#[derive(Debug, Clone)]
struct Few {
    /// The operand that the first step begins with.
    first: usize,
    steps: Vec<Step>,
    target: usize,
}

impl Few {
    /// Most of them.
    const MOST: usize = 2;

    fn of(steps: &[Step]) -> Option<Self> {
        let [Step::Load(first), steps @ .., Step::Store(target)] = steps else { return None };
        let steps = merged(steps);
        let other = |step: &Step| match step {
            Step::Function(..) | Step::ErfcAndGaussian(..) => true,
            step => matches!(step, Step::Load(_) | Step::Keep(_) | Step::Store(_)),
        };
        let few = (1..=Self::MOST).contains(&steps.len()) && !steps.iter().any(other);
        few.then_some(Self { first: *first, steps, target: *target })
    }
}
