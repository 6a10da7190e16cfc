//! Chains of arithmetic over tiles: each step takes what the one before it left, in registers.
//!
//! A loop for each operation would write its results to the cache and read them again, which takes longer than the
//! arithmetic does.

use crate::graph::{Binary, Id, Node, Unary};
use crate::simd::arch;
use crate::tile::Tile;
use crate::{Algebra, Lanes};
use pulp::{Simd, WithSimd};

/// Most nodes of a chain.
const MOST_NODES: usize = 8;

/// Most operands of a chain: one to begin with, and at most two of each node.
const MOST_OPERANDS: usize = 2 * MOST_NODES + 1;

/// Registers that go through the steps together: what a step is, is found out once for all of them. Of wide registers
/// there are twice as many.
const BLOCK: usize = 8;
const WIDE_BLOCK: usize = 16;

/// One operation on what the step before it left, which is called r, and on operands.
#[derive(Debug, Clone, Copy)]
enum Step<O = usize> {
    /// The operand itself: the first step.
    Load(O),
    Neg,
    Square,
    Abs,
    Add(O),
    Sub(O),
    SubFrom(O),
    Mul(O),
    Div(O),
    DivInto(O),
    DivideBy(f64),
    /// r · a + b.
    MulAdd(O, O),
    /// a · b + r.
    AddProduct(O, O),
    Max(f64),
    Min(f64),
    /// r decides.
    Select(f64, O, O),
    /// r where x is at most the threshold, the last operand elsewhere.
    AtMost(O, f64, O),
    /// The last operand where x is at most the threshold, r elsewhere.
    Above(O, f64, O),
}

impl<O> Step<O> {
    /// The step with what `place` makes of its operands.
    fn with_operands(self, mut place: impl FnMut(O) -> usize) -> Step {
        match self {
            Self::Load(a) => Step::Load(place(a)),
            Self::Neg => Step::Neg,
            Self::Square => Step::Square,
            Self::Abs => Step::Abs,
            Self::Add(a) => Step::Add(place(a)),
            Self::Sub(a) => Step::Sub(place(a)),
            Self::SubFrom(a) => Step::SubFrom(place(a)),
            Self::Mul(a) => Step::Mul(place(a)),
            Self::Div(a) => Step::Div(place(a)),
            Self::DivInto(a) => Step::DivInto(place(a)),
            Self::DivideBy(number) => Step::DivideBy(number),
            Self::MulAdd(a, b) => Step::MulAdd(place(a), place(b)),
            Self::AddProduct(a, b) => Step::AddProduct(place(a), place(b)),
            Self::Max(bound) => Step::Max(bound),
            Self::Min(bound) => Step::Min(bound),
            Self::Select(threshold, a, b) => Step::Select(threshold, place(a), place(b)),
            Self::AtMost(x, threshold, b) => Step::AtMost(place(x), threshold, place(b)),
            Self::Above(x, threshold, a) => Step::Above(place(x), threshold, place(a)),
        }
    }
}

/// An operand of a step: a node, or a constant.
#[derive(Debug, Clone, Copy)]
enum Operand {
    Node(Id),
    Constant(f64),
}

/// Whether `node` can be a step: arithmetic that costs no more than reading its operands.
pub(crate) fn is_arithmetic(node: &Node) -> bool {
    match node {
        Node::Unary(f, _) => matches!(f, Unary::Neg | Unary::Square | Unary::Abs),
        Node::Input(_) | Node::Number(_) | Node::Constant(_) => false,
        _ => true,
    }
}

/// The step that `node` is, if r is the value of its operand `before`.
fn step(node: &Node, before: Id) -> Step<Operand> {
    use Operand::Node as At;
    match *node {
        Node::Unary(Unary::Neg, _) => Step::Neg,
        Node::Unary(Unary::Abs, _) => Step::Abs,
        Node::Unary(..) => Step::Square,
        Node::Binary(op, a, b) => match (op, a == before) {
            (Binary::Add, true) => Step::Add(At(b)),
            (Binary::Add, false) => Step::Add(At(a)),
            (Binary::Mul, true) => Step::Mul(At(b)),
            (Binary::Mul, false) => Step::Mul(At(a)),
            (Binary::Sub, true) => Step::Sub(At(b)),
            (Binary::Sub, false) => Step::SubFrom(At(a)),
            (Binary::Div, true) => Step::Div(At(b)),
            (Binary::Div, false) => Step::DivInto(At(a)),
        },
        Node::WithConstant(op, _, constant) => match op {
            Binary::Add => Step::Add(Operand::Constant(constant.0)),
            Binary::Sub => Step::Sub(Operand::Constant(constant.0)),
            Binary::Mul => Step::Mul(Operand::Constant(constant.0)),
            Binary::Div => Step::DivideBy(constant.0),
        },
        Node::MulAdd(a, b, c) if a == before => Step::MulAdd(At(b), At(c)),
        Node::MulAdd(a, b, c) if b == before => Step::MulAdd(At(a), At(c)),
        Node::MulAdd(a, b, _) => Step::AddProduct(At(a), At(b)),
        Node::Select { x, threshold, at_most, above } if x == before => {
            Step::Select(threshold.0, At(at_most), At(above))
        }
        Node::Select { x, threshold, at_most, above } if at_most == before => {
            Step::AtMost(At(x), threshold.0, At(above))
        }
        Node::Select { x, threshold, at_most, .. } => Step::Above(At(x), threshold.0, At(at_most)),
        Node::Max(_, bound) => Step::Max(bound.0),
        Node::Min(_, bound) => Step::Min(bound.0),
        Node::Input(_) | Node::Number(_) | Node::Constant(_) => Step::Load(At(before)),
    }
}

/// The constant that `node` multiplies its operand by, if that is what it does.
fn factor(node: &Node) -> Option<(f64, Id)> {
    match *node {
        Node::Unary(Unary::Neg, x) => Some((-1.0, x)),
        Node::WithConstant(Binary::Mul, x, constant) => Some((constant.0, x)),
        // As a division by a constant is computed.
        Node::WithConstant(Binary::Div, x, constant) => Some((1.0 / constant.0, x)),
        _ => None,
    }
}

/// Which nodes are computed together.
pub(crate) struct Chains {
    /// The operand whose chain a node continues.
    before: Vec<Option<Id>>,
    /// Whether another node continues the chain of a node.
    goes_on: Vec<bool>,
}

impl Chains {
    /// The chains of `nodes`, each of which is used so many times. A factor that functions apply to their operand counts
    /// in `uses` as many times as there are such functions.
    pub(crate) fn of(nodes: &[Node], uses: &mut [usize]) -> Self {
        let mut lengths = vec![0; nodes.len()];
        let mut chains =
            Self { before: vec![None; nodes.len()], goes_on: vec![false; nodes.len()] };
        chains.absorb_factors(nodes, uses);
        for (id, node) in nodes.iter().enumerate() {
            if !is_arithmetic(node) || chains.goes_on[id] {
                continue;
            }
            let open =
                |operand: &Id| uses[*operand] == 1 && (1..MOST_NODES).contains(&lengths[*operand]);
            // The longest of them, whose results are then never written.
            let longest = node.operands().into_iter().filter(open).max_by_key(|one| lengths[*one]);
            lengths[id] = 1 + longest.map_or(0, |operand| lengths[operand]);
            if let Some(operand) = longest {
                chains.goes_on[operand] = true;
            }
            chains.before[id] = longest;
        }
        chains
    }

    /// Joins a factor that functions alone use to these functions, which multiply by it themselves.
    fn absorb_factors(&mut self, nodes: &[Node], uses: &mut [usize]) {
        for (id, node) in nodes.iter().enumerate() {
            let Some((_, x)) = factor(node) else { continue };
            let is_user = |user: &(usize, &Node)| {
                matches!(user.1, Node::Unary(_, x) if *x == id) && !is_arithmetic(user.1)
            };
            let users: Vec<Id> =
                nodes.iter().enumerate().filter(is_user).map(|(id, _)| id).collect();
            if !users.is_empty() && users.len() == uses[id] {
                self.goes_on[id] = true;
                uses[x] += users.len() - 1;
                users.into_iter().for_each(|user| self.before[user] = Some(id));
            }
        }
    }

    /// The factor and the operand of a function.
    pub(crate) fn scaled(&self, nodes: &[Node], function: Id, operand: Id) -> (f64, Id) {
        self.before[function].and_then(|_| factor(&nodes[operand])).unwrap_or((1.0, operand))
    }

    /// Whether the node is computed on the way to another.
    pub(crate) fn is_part(&self, id: Id) -> bool {
        self.goes_on[id]
    }

    /// The nodes of the chain that ends in `id`, the last one first.
    pub(crate) fn members(&self, id: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(Some(id), |id| self.before[*id])
    }
}

/// Steps, and where their operands are.
#[derive(Debug, Clone)]
pub(crate) struct Chain<O> {
    steps: Vec<Step>,
    operands: Vec<O>,
}

impl<O: Copy + PartialEq> Chain<O> {
    /// The chain that ends in `id`, where `place` says where a node's values are and `constant` makes a constant.
    pub(crate) fn new(
        nodes: &[Node],
        chains: &Chains,
        id: Id,
        place: impl Fn(Id) -> O,
        constant: impl Fn(f64) -> O,
    ) -> Self {
        let mut members: Vec<Id> = chains.members(id).collect();
        members.reverse();
        // The first step loads an operand of the first node.
        let first = nodes[members[0]].operands().first().copied().unwrap_or(members[0]);
        let before = std::iter::once(first).chain(members.iter().copied());
        let nodes = before.zip(&members).map(|(before, member)| step(&nodes[*member], before));
        let load = std::iter::once(Step::Load(Operand::Node(first)));
        let mut operands: Vec<O> = Vec::new();
        let mut find = |operand| {
            let operand = match operand {
                Operand::Node(id) => place(id),
                Operand::Constant(value) => constant(value),
            };
            operands.iter().position(|known| *known == operand).unwrap_or_else(|| {
                operands.push(operand);
                operands.len() - 1
            })
        };
        let steps = load.chain(nodes).map(|step| step.with_operands(&mut find)).collect();
        Self { steps, operands }
    }

    /// Writes the values of the chain, whose operands `find` finds, to `y`: whole registers.
    #[inline]
    pub(crate) fn run<'a>(&self, find: impl Fn(O) -> Tile<'a>, y: &mut [f32]) {
        let mut operands = [Tile::One(0.0); MOST_OPERANDS];
        for (to, operand) in operands.iter_mut().zip(&self.operands) {
            *to = find(*operand);
        }
        let operands = &operands[..self.operands.len()];
        arch().dispatch(Run { steps: &self.steps, operands, y });
    }
}

struct Run<'a> {
    steps: &'a [Step],
    operands: &'a [Tile<'a>],
    y: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if size_of::<S::f32s>() == 64 {
            self.blocks::<S, WIDE_BLOCK>(simd);
        } else {
            self.blocks::<S, BLOCK>(simd);
        }
    }
}

impl Run<'_> {
    #[inline(always)]
    fn blocks<S: Simd, const N: usize>(self, simd: S) {
        let (y, _) = S::as_mut_simd_f32s(self.y);
        let (blocks, rest) = y.as_chunks_mut::<N>();
        let whole = blocks.len() * N;
        for (place, y) in blocks.iter_mut().enumerate() {
            block::<S, N>(simd, self.steps, self.operands, place * N, y);
        }
        for (place, y) in rest.iter_mut().enumerate() {
            let y = std::array::from_mut(y);
            block::<S, 1>(simd, self.steps, self.operands, whole + place, y);
        }
    }
}

/// `N` registers of an operand from the register `at` on, each read when it is needed.
#[derive(Clone, Copy)]
enum Registers<'a, S: Simd, const N: usize> {
    Each(&'a [S::f32s; N]),
    One(S::f32s),
}

#[inline(always)]
fn registers<'a, S: Simd, const N: usize>(
    simd: S,
    operand: Tile<'a>,
    at: usize,
) -> Registers<'a, S, N> {
    match operand {
        Tile::Each(numbers) => {
            let registers = S::as_simd_f32s(numbers).0;
            // A tile has whole registers, of which `at` counts none that is not there.
            registers[at..]
                .first_chunk()
                .map_or(Registers::One(simd.splat_f32s(f32::NAN)), Registers::Each)
        }
        Tile::One(number) => Registers::One(simd.splat_f32s(number)),
    }
}

/// r = f(r, a) for each register.
#[inline(always)]
fn with_one<S: Simd, const N: usize>(
    simd: S,
    r: &mut [Lanes<S>; N],
    a: Registers<'_, S, N>,
    f: impl Fn(Lanes<S>, Lanes<S>) -> Lanes<S>,
) {
    match a {
        Registers::Each(a) => {
            for i in 0..N {
                r[i] = f(r[i], Lanes::new(simd, a[i]));
            }
        }
        Registers::One(a) => {
            for r in r {
                *r = f(*r, Lanes::new(simd, a));
            }
        }
    }
}

/// r = f(r, a, b) for each register.
#[inline(always)]
fn with_two<S: Simd, const N: usize>(
    simd: S,
    r: &mut [Lanes<S>; N],
    a: Registers<'_, S, N>,
    b: Registers<'_, S, N>,
    f: impl Fn(Lanes<S>, Lanes<S>, Lanes<S>) -> Lanes<S>,
) {
    match b {
        Registers::Each(b) => match a {
            Registers::Each(a) => {
                for i in 0..N {
                    r[i] = f(r[i], Lanes::new(simd, a[i]), Lanes::new(simd, b[i]));
                }
            }
            Registers::One(a) => {
                for i in 0..N {
                    r[i] = f(r[i], Lanes::new(simd, a), Lanes::new(simd, b[i]));
                }
            }
        },
        Registers::One(b) => with_one(simd, r, a, |r, a| f(r, a, Lanes::new(simd, b))),
    }
}

/// All steps for `N` registers.
#[inline(always)]
fn block<S: Simd, const N: usize>(
    simd: S,
    steps: &[Step],
    operands: &[Tile<'_>],
    at: usize,
    y: &mut [S::f32s; N],
) {
    let mut r = [Lanes::new(simd, simd.splat_f32s(0.0)); N];
    let get = |operand: usize| registers::<S, N>(simd, operands[operand], at);
    macro_rules! each {
        (|$r:ident| $value:expr) => {
            for r in &mut r {
                let $r = *r;
                *r = $value;
            }
        };
        ($a:ident, |$r:ident, $x:ident| $value:expr) => {
            with_one(simd, &mut r, get($a), |$r, $x| $value)
        };
        ($a:ident, $b:ident, |$r:ident, $x:ident, $y:ident| $value:expr) => {
            with_two(simd, &mut r, get($a), get($b), |$r, $x, $y| $value)
        };
    }
    for step in steps {
        match *step {
            Step::Load(a) => each!(a, |_r, a| a),
            Step::Neg => each!(|r| -r),
            Step::Square => each!(|r| r.square()),
            Step::Abs => each!(|r| Algebra::abs(r)),
            Step::Add(a) => each!(a, |r, a| r + a),
            Step::Sub(a) => each!(a, |r, a| r - a),
            Step::SubFrom(a) => each!(a, |r, a| a - r),
            Step::Mul(a) => each!(a, |r, a| r * a),
            Step::Div(a) => each!(a, |r, a| r / a),
            Step::DivInto(a) => each!(a, |r, a| a / r),
            Step::DivideBy(number) => each!(|r| r / number),
            Step::MulAdd(a, b) => each!(a, b, |r, a, b| r.mul_add(a, b)),
            Step::AddProduct(a, b) => each!(a, b, |r, a, b| a.mul_add(b, r)),
            Step::Max(bound) => each!(|r| Algebra::max(r, bound)),
            Step::Min(bound) => each!(|r| Algebra::min(r, bound)),
            Step::Select(threshold, a, b) => each!(a, b, |r, a, b| r.select(threshold, a, b)),
            Step::AtMost(x, threshold, b) => each!(x, b, |r, x, b| x.select(threshold, r, b)),
            Step::Above(x, threshold, a) => each!(x, a, |r, x, a| x.select(threshold, a, r)),
        }
    }
    for i in 0..N {
        y[i] = r[i].into_inner();
    }
}
