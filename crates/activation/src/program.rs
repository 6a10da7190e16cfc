//! A graph as a program over tiles that lie in the cache: each instruction runs over a whole tile of SIMD registers, so
//! that what it costs to find out which instruction it is does not count.

use crate::graph::{Binary, Constant, Graph, Id, Node, Unary};
use crate::simd::arch;
use crate::{Lanes, Real};
use pulp::{Simd, WithSimd};
use std::cell::Cell;

/// Numbers of a tile: a handful of them lie in the first cache.
pub(crate) const TILE: usize = 512;

/// Bytes of a line of the cache: a register that lies in two of them takes twice as long to load.
const ALIGNMENT: usize = 64;

thread_local! {
    /// Memory of the slots, from one run to the next.
    static ROOM: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// The values of a number of a formula.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// The same for every element.
    One(f32),
    /// One for each element.
    Each(&'a [f32]),
}

impl<'a> Values<'a> {
    fn range(self, from: usize, to: usize) -> Self {
        match self {
            Self::One(value) => Self::One(value),
            Self::Each(values) => Self::Each(&values[from..to]),
        }
    }

    pub(crate) fn at(self, index: usize) -> f32 {
        match self {
            Self::One(value) => value,
            Self::Each(values) => values[index],
        }
    }
}

/// Where an operand is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    Slot(usize),
    Input(usize),
    Number(usize),
    Constant(f32),
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Unary(Unary, Source),
    Binary(Binary, Source, Source),
    DivideBy(Source, f64),
    MulAdd(Source, Source, Source),
    Select { x: Source, threshold: f64, at_most: Source, above: Source },
    Max(Source, f64),
    Min(Source, f64),
}

impl Operation {
    fn sources(self) -> [Option<Source>; 3] {
        match self {
            Self::Unary(_, x) | Self::DivideBy(x, _) | Self::Max(x, _) | Self::Min(x, _) => {
                [Some(x), None, None]
            }
            Self::Binary(_, a, b) => [Some(a), Some(b), None],
            Self::MulAdd(a, b, c) => [Some(a), Some(b), Some(c)],
            Self::Select { x, at_most, above, .. } => [Some(x), Some(at_most), Some(above)],
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Instruction {
    operation: Operation,
    /// The slot that takes the result.
    to: usize,
    /// erfc(x) leaves e^(−x²) in this slot too.
    gaussian: Option<usize>,
}

/// What computes the outputs of a graph over slices of f32.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    instructions: Vec<Instruction>,
    outputs: Vec<Source>,
    slots: usize,
}

impl Program {
    pub(crate) fn new(graph: &Graph) -> Self {
        let mut uses = vec![0_usize; graph.nodes.len()];
        for operand in graph.nodes.iter().flat_map(Node::operands) {
            uses[operand] += 1;
        }
        // What an output needs is never given away.
        for output in &graph.outputs {
            uses[*output] += 1;
        }
        let mut compiler = Compiler { uses, places: vec![None; graph.nodes.len()], ..Compiler::default() };
        for (id, node) in graph.nodes.iter().enumerate() {
            compiler.add(graph, id, node);
        }
        let outputs = graph.outputs.iter().map(|output| compiler.source(*output)).collect();
        Self { instructions: compiler.instructions, outputs, slots: compiler.slots }
    }

    /// Computes each output for each element.
    ///
    /// # Panics
    /// If lengths differ.
    pub(crate) fn run(&self, inputs: &[&[f32]], numbers: &[Values<'_>], outputs: &mut [&mut [f32]]) {
        arch().dispatch(Run { program: self, inputs, numbers, outputs });
    }
}

#[derive(Default)]
struct Compiler {
    instructions: Vec<Instruction>,
    uses: Vec<usize>,
    places: Vec<Option<Source>>,
    free: Vec<usize>,
    slots: usize,
}

impl Compiler {
    fn source(&self, id: Id) -> Source {
        // Operands stand before what takes them.
        self.places[id].unwrap_or(Source::Constant(f32::NAN))
    }

    fn slot(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    fn release(&mut self, id: Id) {
        self.uses[id] -= 1;
        if self.uses[id] == 0
            && let Some(Source::Slot(slot)) = self.places[id]
        {
            self.free.push(slot);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "constants of f32 formulas")]
    fn add(&mut self, graph: &Graph, id: Id, node: &Node) {
        if self.places[id].is_some() {
            // The Gaussian that came with erfc.
            node.operands().into_iter().for_each(|operand| self.release(operand));
            return;
        }
        let at = |id: Id| self.source(id);
        let operation = match *node {
            Node::Input(i) => return self.places[id] = Some(Source::Input(i)),
            Node::Number(i) => return self.places[id] = Some(Source::Number(i)),
            Node::Constant(Constant(value)) => {
                return self.places[id] = Some(Source::Constant(value as f32));
            }
            Node::Unary(f, x) => Operation::Unary(f, at(x)),
            Node::Binary(op, a, b) => Operation::Binary(op, at(a), at(b)),
            Node::WithConstant(Binary::Div, x, constant) => Operation::DivideBy(at(x), constant.0),
            Node::WithConstant(op, x, constant) => {
                Operation::Binary(op, at(x), Source::Constant(constant.0 as f32))
            }
            Node::MulAdd(a, b, c) => Operation::MulAdd(at(a), at(b), at(c)),
            Node::Select { x, threshold, at_most, above } => Operation::Select {
                x: at(x),
                threshold: threshold.0,
                at_most: at(at_most),
                above: at(above),
            },
            Node::Max(x, bound) => Operation::Max(at(x), bound.0),
            Node::Min(x, bound) => Operation::Min(at(x), bound.0),
        };
        let to = self.slot();
        self.places[id] = Some(Source::Slot(to));
        let twin = match *node {
            Node::Unary(Unary::Erfc, x) => {
                let gaussian = Node::Unary(Unary::Gaussian, x);
                graph.nodes.iter().position(|node| *node == gaussian)
            }
            _ => None,
        };
        let gaussian = twin.filter(|twin| *twin > id).map(|twin| {
            let slot = self.slot();
            self.places[twin] = Some(Source::Slot(slot));
            slot
        });
        self.instructions.push(Instruction { operation, to, gaussian });
        node.operands().into_iter().for_each(|operand| self.release(operand));
    }
}

struct Run<'a, 'b, 'c> {
    program: &'a Program,
    inputs: &'a [&'b [f32]],
    numbers: &'a [Values<'b>],
    outputs: &'a mut [&'c mut [f32]],
}

/// An operand over a tile: registers, or one for all.
#[derive(Clone, Copy)]
enum Tile<'a, S: Simd> {
    Registers(&'a [S::f32s]),
    Splat(S::f32s),
}

impl<S: Simd> Tile<'_, S> {
    #[inline(always)]
    fn at(self, i: usize) -> S::f32s {
        match self {
            Self::Registers(registers) => registers[i],
            Self::Splat(register) => register,
        }
    }
}

impl WithSimd for Run<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { program, inputs, numbers, outputs } = self;
        let length = outputs.first().map_or(0, |output| output.len());
        let right = |other: usize| assert_eq!(other, length, "one output for each input");
        inputs.iter().for_each(|input| right(input.len()));
        outputs.iter().for_each(|output| right(output.len()));
        let registers = TILE / S::F32_LANES;
        // Slots first, and behind them inputs and numbers.
        let rooms = program.slots + inputs.len() + numbers.len();
        let mut floats = ROOM.take();
        floats.resize((rooms * TILE + ALIGNMENT).max(floats.len()), 0.0);
        let begin = floats.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT / size_of::<f32>());
        let (room, _) = S::as_mut_simd_f32s(&mut floats[begin..begin + rooms * TILE]);
        let mut from = 0;
        while from < length {
            let n = TILE.min(length - from);
            let used = n.div_ceil(S::F32_LANES);
            let mut memory = Memory { simd, room: &mut *room, registers, used };
            let mut places: Vec<Source> = Vec::with_capacity(inputs.len() + numbers.len());
            for input in inputs {
                let place = program.slots + places.len();
                memory.load(place, &input[from..from + n]);
                places.push(Source::Slot(place));
            }
            for number in numbers {
                let place = program.slots + places.len();
                places.push(match number.range(from, from + n) {
                    Values::One(value) => Source::Constant(value),
                    Values::Each(values) => {
                        memory.load(place, values);
                        Source::Slot(place)
                    }
                });
            }
            let find = |source| match source {
                Source::Input(i) => places[i],
                Source::Number(i) => places[inputs.len() + i],
                other => other,
            };
            for instruction in &program.instructions {
                memory.execute(instruction, find);
            }
            for (source, output) in program.outputs.iter().zip(outputs.iter_mut()) {
                memory.store(find(*source), &mut output[from..from + n]);
            }
            from += n;
        }
        ROOM.set(floats);
    }
}

/// The slots of a tile.
struct Memory<'a, S: Simd> {
    simd: S,
    room: &'a mut [S::f32s],
    registers: usize,
    used: usize,
}

impl<S: Simd> Memory<'_, S> {
    #[inline(always)]
    fn load(&mut self, slot: usize, values: &[f32]) {
        let begin = slot * self.registers;
        let room: &mut [f32] = bytemuck::cast_slice_mut(&mut self.room[begin..begin + self.used]);
        room[..values.len()].copy_from_slice(values);
        room[values.len()..].fill(0.0);
    }

    #[inline(always)]
    fn store(&self, source: Source, values: &mut [f32]) {
        match source {
            Source::Slot(slot) => {
                let begin = slot * self.registers;
                let room: &[f32] = bytemuck::cast_slice(&self.room[begin..begin + self.used]);
                values.copy_from_slice(&room[..values.len()]);
            }
            Source::Constant(value) => values.fill(value),
            Source::Input(_) | Source::Number(_) => unreachable!("they have been found"),
        }
    }

    #[inline(always)]
    fn execute(&mut self, instruction: &Instruction, find: impl Fn(Source) -> Source) {
        let Self { simd, registers, used, .. } = *self;
        let to = instruction.to * registers;
        if let (Some(gaussian), Operation::Unary(_, x)) = (instruction.gaussian, instruction.operation) {
            return self.erfc_and_gaussian(find(x), instruction.to, gaussian);
        }
        let (before, rest) = self.room.split_at_mut(to);
        let (target, after) = rest.split_at_mut(registers);
        let target = &mut target[..used];
        let after_begin = to + registers;
        let tile = |source: Source| -> Tile<'_, S> {
            match find(source) {
                Source::Slot(slot) => {
                    let begin = slot * registers;
                    if begin < to {
                        Tile::Registers(&before[begin..begin + used])
                    } else {
                        Tile::Registers(&after[begin - after_begin..begin - after_begin + used])
                    }
                }
                Source::Constant(value) => Tile::Splat(simd.splat_f32s(value)),
                Source::Input(_) | Source::Number(_) => unreachable!("they have been found"),
            }
        };
        let [a, b, c] = instruction.operation.sources().map(|source| source.map(&tile));
        // Where an operation has fewer operands, the others are not looked at.
        let nothing = Tile::Splat(simd.splat_f32s(0.0));
        let (a, b, c) = (a.unwrap_or(nothing), b.unwrap_or(nothing), c.unwrap_or(nothing));
        match instruction.operation {
            Operation::Unary(f, _) => unary(simd, f, a, target),
            Operation::Binary(op, ..) => match op {
                Binary::Add => over_two(simd, a, b, target, |a, b| a + b),
                Binary::Sub => over_two(simd, a, b, target, |a, b| a - b),
                Binary::Mul => over_two(simd, a, b, target, |a, b| a * b),
                Binary::Div => over_two(simd, a, b, target, |a, b| a / b),
            },
            Operation::DivideBy(_, constant) => over_one(simd, a, target, |a| a / constant),
            Operation::MulAdd(..) => over_three(simd, [a, b, c], target, |a, b, c| a.mul_add(b, c)),
            Operation::Select { threshold, .. } => {
                over_three(simd, [a, b, c], target, |x, at_most, above| {
                    x.select(threshold, at_most, above)
                });
            }
            Operation::Max(_, bound) => over_one(simd, a, target, |a| Real::max(a, bound)),
            Operation::Min(_, bound) => over_one(simd, a, target, |a| Real::min(a, bound)),
        }
    }

    #[inline(always)]
    fn erfc_and_gaussian(&mut self, x: Source, to: usize, gaussian: usize) {
        let Self { simd, registers, used, .. } = *self;
        for i in 0..used {
            let x = match x {
                Source::Slot(slot) => self.room[slot * registers + i],
                Source::Constant(value) => simd.splat_f32s(value),
                Source::Input(_) | Source::Number(_) => unreachable!("they have been found"),
            };
            let (value, rest) = Lanes::new(simd, x).erfc_and_gaussian();
            self.room[to * registers + i] = value.into_inner();
            self.room[gaussian * registers + i] = rest.into_inner();
        }
    }
}

#[inline(always)]
fn unary<S: Simd>(simd: S, f: Unary, x: Tile<'_, S>, target: &mut [S::f32s]) {
    macro_rules! each {
        ($($function:ident)*) => {
            match f {
                // A loop for each, so that the function is known inside it.
                $(Unary::$function => over_one(simd, x, target, |x| Unary::$function.apply(x)),)*
            }
        };
    }
    each! {
        Neg Exp ExpM1 Ln Ln1p Sqrt Sin Cos Tanh Atan Erf Erfc Gaussian Sigmoid Softplus Square Abs
    }
}

#[inline(always)]
fn over_one<S: Simd>(
    simd: S,
    x: Tile<'_, S>,
    target: &mut [S::f32s],
    f: impl Fn(Lanes<S>) -> Lanes<S>,
) {
    match x {
        Tile::Registers(x) => {
            for (x, y) in x.iter().zip(target) {
                *y = f(Lanes::new(simd, *x)).into_inner();
            }
        }
        Tile::Splat(x) => target.fill(f(Lanes::new(simd, x)).into_inner()),
    }
}

#[inline(always)]
fn over_two<S: Simd>(
    simd: S,
    a: Tile<'_, S>,
    b: Tile<'_, S>,
    target: &mut [S::f32s],
    f: impl Fn(Lanes<S>, Lanes<S>) -> Lanes<S>,
) {
    let f = |a, b| f(Lanes::new(simd, a), Lanes::new(simd, b)).into_inner();
    match (a, b) {
        (Tile::Registers(a), Tile::Registers(b)) => {
            for ((a, b), y) in a.iter().zip(b).zip(target) {
                *y = f(*a, *b);
            }
        }
        (Tile::Registers(a), Tile::Splat(b)) => {
            for (a, y) in a.iter().zip(target) {
                *y = f(*a, b);
            }
        }
        (Tile::Splat(a), Tile::Registers(b)) => {
            for (b, y) in b.iter().zip(target) {
                *y = f(a, *b);
            }
        }
        (Tile::Splat(a), Tile::Splat(b)) => target.fill(f(a, b)),
    }
}

#[inline(always)]
fn over_three<S: Simd>(
    simd: S,
    [a, b, c]: [Tile<'_, S>; 3],
    target: &mut [S::f32s],
    f: impl Fn(Lanes<S>, Lanes<S>, Lanes<S>) -> Lanes<S>,
) {
    if let (Tile::Registers(a), Tile::Registers(b), Tile::Registers(c)) = (a, b, c) {
        for (((a, b), c), y) in a.iter().zip(b).zip(c).zip(target) {
            *y = f(Lanes::new(simd, *a), Lanes::new(simd, *b), Lanes::new(simd, *c)).into_inner();
        }
        return;
    }
    for (i, y) in target.iter_mut().enumerate() {
        let lanes = |tile: Tile<'_, S>| Lanes::new(simd, tile.at(i));
        *y = f(lanes(a), lanes(b), lanes(c)).into_inner();
    }
}
