//! A graph as a program over tiles that lie in the cache: each instruction, a function or a segment of arithmetic, runs over
//! a whole tile of SIMD registers, so that what it costs to find out which instruction it is does not count.

use crate::chain::{self, Chains, MOST_OPERANDS, Step, is_function};
use crate::graph::{Constant, Graph, Id, Node, Unary};
use crate::segment::{KNOWN, MOST_CHAINS, Operand, Segment};
use crate::tile::{self, Scratch, Slot, Tile};

pub(crate) use tile::TILE;

/// Numbers of the widest register: so many are computed together.
const WIDEST: usize = 16;

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
    Constant(Single),
}

/// A constant, compared by its bits: zeros have signs, and NaN is itself.
#[derive(Debug, Clone, Copy)]
struct Single(f32);

impl PartialEq for Single {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

#[derive(Debug, Clone)]
enum Instruction {
    Function(Function),
    Segment {
        segment: Segment<Source>,
        /// Where its results go.
        targets: Vec<Target>,
    },
}

/// A function of a constant times the operand.
#[derive(Debug, Clone)]
struct Function {
    f: Unary,
    factor: f32,
    x: Source,
    to: Target,
    /// erfc(x) leaves e^(−x²) in this slot too.
    gaussian: Option<usize>,
}

/// Where a result goes.
#[derive(Debug, Clone, Copy)]
struct Target {
    slot: usize,
    /// The output that it is, where nothing else takes it: it can be written there.
    output: Option<usize>,
}

/// What computes the outputs of a graph over slices of f32.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    instructions: Vec<Instruction>,
    outputs: Vec<Source>,
    /// The outputs that are written by their instructions.
    written: Vec<usize>,
    slots: usize,
}

impl Program {
    pub(crate) fn new(graph: &Graph) -> Self {
        let chains = Chains::of(graph);
        let uses = (0..graph.nodes.len()).map(|id| chains.uses(id)).collect();
        let places = vec![None; graph.nodes.len()];
        let mut compiler = Compiler {
            graph,
            chains,
            uses,
            places,
            free: Vec::new(),
            slots: 0,
            instructions: Vec::new(),
        };
        compiler.compile();
        let outputs = graph.outputs.iter().map(|output| compiler.source(*output)).collect();
        let Compiler { instructions, slots, .. } = compiler;
        let targets = instructions.iter().flat_map(Instruction::targets);
        let written = targets.filter_map(|target| target.output).collect();
        Self { instructions, outputs, written, slots }
    }

    /// Computes each output for each element.
    ///
    /// # Panics
    /// If lengths differ.
    pub(crate) fn run<'a>(
        &self,
        inputs: &[&'a [f32]],
        numbers: &[Values<'a>],
        outputs: &mut [&mut [f32]],
    ) {
        let length = outputs.first().map_or(0, |output| output.len());
        let right = |other: usize| assert_eq!(other, length, "one output for each input");
        inputs.iter().for_each(|input| right(input.len()));
        outputs.iter().for_each(|output| right(output.len()));
        let mut scratch = Scratch::take(self.slots + inputs.len() + numbers.len());
        let mut from = 0;
        while from < length {
            let n = TILE.min(length - from);
            // A tile of whole registers is read and written where it lies.
            let whole = n.is_multiple_of(WIDEST);
            scratch.used = n.next_multiple_of(WIDEST);
            let operand = |i: usize| match i.checked_sub(inputs.len()) {
                None => Values::Each(&inputs[i][from..from + n]),
                Some(i) => numbers[i].range(from, from + n),
            };
            for i in (0..inputs.len() + numbers.len()).filter(|_| !whole) {
                if let Values::Each(values) = operand(i) {
                    scratch.write(self.slots + i, values);
                }
            }
            let place = |i: usize| match operand(i) {
                Values::One(value) => Place::One(value),
                Values::Each(values) if whole => Place::Each(values),
                Values::Each(_) => Place::Slot(self.slots + i),
            };
            let find = |source| match source {
                Source::Input(i) => place(i),
                Source::Number(i) => place(inputs.len() + i),
                Source::Slot(slot) => Place::Slot(slot),
                Source::Constant(constant) => Place::One(constant.0),
            };
            for instruction in &self.instructions {
                let outputs = outputs.iter_mut().map(|output| &mut output[from..from + n]);
                scratch.execute(instruction, find, outputs, whole);
            }
            for (place, output) in outputs.iter_mut().enumerate() {
                if !(whole && self.written.contains(&place)) {
                    scratch.store(find(self.outputs[place]), &mut output[from..from + n]);
                }
            }
            from += n;
        }
    }
}

/// Where the numbers of an operand are in one tile.
#[derive(Clone, Copy)]
enum Place<'a> {
    Slot(usize),
    One(f32),
    Each(&'a [f32]),
}

impl Instruction {
    fn targets(&self) -> &[Target] {
        match self {
            Self::Function(function) => std::slice::from_ref(&function.to),
            Self::Segment { targets, .. } => targets,
        }
    }
}

struct Compiler<'a> {
    graph: &'a Graph,
    chains: Chains,
    instructions: Vec<Instruction>,
    /// How often the results of a node are still taken.
    uses: Vec<usize>,
    places: Vec<Option<Source>>,
    free: Vec<usize>,
    slots: usize,
}

impl Compiler<'_> {
    fn source(&self, id: Id) -> Source {
        self.places[id].expect("operands stand before what takes them")
    }

    fn slot(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    /// Frees the slots of what nothing takes after the chain or function `id`.
    fn release(&mut self, id: Id) {
        for taken in self.chains.taken(&self.graph.nodes, id) {
            self.uses[taken] -= 1;
            if self.uses[taken] == 0
                && let Some(Source::Slot(slot)) = self.places[taken]
            {
                self.free.push(slot);
            }
        }
    }

    /// A slot for the result of `id`, or the output that it is and nothing else takes.
    fn target(&mut self, id: Id) -> Target {
        let slot = self.slot();
        self.places[id] = Some(Source::Slot(slot));
        let output = self.graph.outputs.iter().position(|output| *output == id);
        Target { slot, output: output.filter(|_| self.chains.uses(id) == 1) }
    }

    /// Functions in their order. Arithmetic waits until something needs it, so that much of it is in one segment.
    fn compile(&mut self) {
        let graph = self.graph;
        for (id, node) in graph.nodes.iter().enumerate() {
            match *node {
                Node::Input(i) => self.places[id] = Some(Source::Input(i)),
                Node::Number(i) => self.places[id] = Some(Source::Number(i)),
                Node::Constant(constant) => self.places[id] = Some(source_of(constant)),
                Node::Unary(f, _) if is_function(node) && self.chains.uses(id) > 0 => {
                    self.function(id, f);
                }
                _ => {}
            }
        }
        self.arithmetic(&graph.outputs);
    }

    #[expect(clippy::cast_possible_truncation, reason = "constants of f32 formulas")]
    fn function(&mut self, id: Id, f: Unary) {
        if self.places[id].is_some() {
            // The Gaussian that came with erfc.
            return self.release(id);
        }
        let nodes = &self.graph.nodes;
        let Some((factor, x)) = self.chains.scaled(id) else { return };
        self.arithmetic(&[x]);
        let twin = match nodes[id] {
            Node::Unary(Unary::Erfc, x) => {
                let gaussian = Node::Unary(Unary::Gaussian, x);
                nodes.iter().position(|node| *node == gaussian)
            }
            _ => None,
        };
        let twin = twin.filter(|twin| *twin > id && self.chains.uses(*twin) > 0);
        let to = self.target(id);
        let gaussian = twin.map(|twin| {
            let slot = self.slot();
            self.places[twin] = Some(Source::Slot(slot));
            slot
        });
        let x = self.source(x);
        let function = Function { f, factor: factor as f32, x, to, gaussian };
        self.instructions.push(Instruction::Function(function));
        self.release(id);
    }

    /// The arithmetic that `needed` need, and that has not been done.
    fn arithmetic(&mut self, needed: &[Id]) {
        let nodes = &self.graph.nodes;
        let mut open = needed.to_vec();
        let mut ends: Vec<Id> = Vec::new();
        while let Some(id) = open.pop() {
            if self.places[id].is_none() && !ends.contains(&id) {
                ends.push(id);
                open.extend(self.chains.taken(nodes, id));
            }
        }
        ends.sort_unstable();
        let mut rest = &ends[..];
        while !rest.is_empty() {
            let mut operands = Vec::new();
            let fits = |id: &&Id| {
                for step in self.chains.steps(nodes, **id) {
                    step.map(|operand| {
                        if !operands.contains(&operand) {
                            operands.push(operand);
                        }
                    });
                }
                operands.len() <= MOST_OPERANDS
            };
            // A chain alone always fits.
            let count = rest.iter().take(MOST_CHAINS).take_while(fits).count().max(1);
            let (now, later) = rest.split_at(count);
            self.segment(now);
            rest = later;
        }
    }

    /// The chains that end in `ends`, in one segment.
    fn segment(&mut self, ends: &[Id]) {
        let nodes = &self.graph.nodes;
        let (mut segment, mut targets) = (Segment::new(), Vec::new());
        let mut last = None;
        for (place, id) in ends.iter().enumerate() {
            let within = |other: &Id| self.chains.taken(nodes, *other).into_iter();
            let here = ends.iter().flat_map(within).filter(|taken| taken == id).count();
            let operand = |operand: chain::Operand| match operand {
                chain::Operand::Node(id) => match ends[..place].iter().position(|end| *end == id) {
                    Some(kept) => Operand::Kept(kept),
                    None => Operand::Of(self.source(id)),
                },
                chain::Operand::Constant(constant) => Operand::Of(source_of(constant)),
            };
            for step in self.chains.steps(nodes, *id) {
                // What the chain before it left is still at hand.
                let at_hand =
                    matches!(step, Step::Load(chain::Operand::Node(id)) if last == Some(id));
                if !at_hand {
                    segment.push(step.map(operand));
                }
            }
            last = Some(*id);
            if here > 0 {
                segment.push(Step::Keep(Operand::Kept(place)));
            }
            if self.chains.uses(*id) > here {
                segment.push(Step::Store(targets.len()));
                targets.push(*id);
            }
        }
        let targets = targets.into_iter().map(|id| self.target(id)).collect();
        self.instructions.push(Instruction::Segment { segment, targets });
        // Not before: a segment writes nowhere where it reads.
        for id in ends {
            self.release(*id);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "constants of f32 formulas")]
fn source_of(constant: Constant) -> Source {
    Source::Constant(Single(constant.0 as f32))
}

impl Scratch {
    #[inline(always)]
    fn tile<'a>(&'a self, place: Place<'a>) -> Tile<'a> {
        match place {
            Place::Slot(slot) => self.slot(slot),
            Place::One(value) => Tile::One(value),
            Place::Each(values) => Tile::Each(values),
        }
    }

    fn store(&self, place: Place<'_>, values: &mut [f32]) {
        match self.tile(place) {
            Tile::Each(numbers) => values.copy_from_slice(&numbers[..values.len()]),
            Tile::One(number) => values.fill(number),
        }
    }

    /// Executes an instruction on a tile, which has these `outputs`; of `whole` registers it is written to them.
    fn execute<'a, 'output>(
        &mut self,
        instruction: &Instruction,
        find: impl Fn(Source) -> Place<'a>,
        outputs: impl Iterator<Item = &'output mut [f32]>,
        whole: bool,
    ) {
        match instruction {
            Instruction::Function(function) => self.call(function, find, outputs, whole),
            Instruction::Segment { segment, targets } => {
                let mut known = std::mem::take(&mut self.known);
                let memory = known.numbers_mut(KNOWN);
                match targets.as_slice() {
                    [target] => self.with_target(*target, outputs, whole, |scratch, y| {
                        segment.run(|source| scratch.tile(find(source)), memory, &mut [y]);
                    }),
                    targets => self.with_targets(targets, outputs, whole, |scratch, ys| {
                        segment.run(|source| scratch.tile(find(source)), memory, ys);
                    }),
                }
                self.known = known;
            }
        }
    }

    fn call<'a, 'output>(
        &mut self,
        function: &Function,
        find: impl Fn(Source) -> Place<'a>,
        outputs: impl Iterator<Item = &'output mut [f32]>,
        whole: bool,
    ) {
        let Function { f, factor, x, to, gaussian } = function;
        let Some(slot) = *gaussian else {
            return self.with_target(*to, outputs, whole, |scratch, y| {
                tile::unary(*f, *factor, scratch.tile(find(*x)), y);
            });
        };
        let mut gaussian = self.take_slot(slot);
        let numbers = gaussian.numbers_mut(self.used);
        self.with_target(*to, outputs, whole, |scratch, y| {
            tile::erfc_and_gaussian(*factor, scratch.tile(find(*x)), y, numbers);
        });
        self.put_slot(slot, gaussian);
    }

    /// Lets `write` write a result: to the output that it is, or to its slot.
    #[inline(always)]
    fn with_target<'output>(
        &mut self,
        target: Target,
        mut outputs: impl Iterator<Item = &'output mut [f32]>,
        whole: bool,
        write: impl FnOnce(&Self, &mut [f32]),
    ) {
        if let Some(output) = target.output.filter(|_| whole).and_then(|place| outputs.nth(place)) {
            return write(self, output);
        }
        let mut slot = self.take_slot(target.slot);
        write(self, slot.numbers_mut(self.used));
        self.put_slot(target.slot, slot);
    }

    /// As [`Scratch::with_target`], for several results.
    fn with_targets<'output>(
        &mut self,
        targets: &[Target],
        outputs: impl Iterator<Item = &'output mut [f32]>,
        whole: bool,
        write: impl FnOnce(&Self, &mut [&mut [f32]]),
    ) {
        let direct = |target: &Target| target.output.filter(|_| whole);
        let mut taken: [Slot; MOST_CHAINS] = Default::default();
        let mut to: [&mut [f32]; MOST_CHAINS] = Default::default();
        for (place, output) in outputs.enumerate() {
            if let Some(at) = targets.iter().position(|target| direct(target) == Some(place)) {
                to[at] = output;
            }
        }
        for ((target, memory), to) in targets.iter().zip(&mut taken).zip(&mut to) {
            if direct(target).is_none() {
                *memory = self.take_slot(target.slot);
                *to = memory.numbers_mut(self.used);
            }
        }
        write(self, &mut to[..targets.len()]);
        for (target, memory) in targets.iter().zip(taken) {
            if direct(target).is_none() {
                self.put_slot(target.slot, memory);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lanes, TextFormula};

    /// Formulas that a seed decides.
    struct Draw(u64);

    impl Draw {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % n
        }

        fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
            words[usize::try_from(self.below(words.len() as u64)).unwrap()]
        }

        fn formula(&mut self, depth: u32) -> String {
            if depth == 0 {
                return self.of(&["x", "x", "x", "b", "0.5", "-0", "2", "(0 / 0)"]).to_owned();
            }
            let [a, b, c] = [1, 2, 3].map(|less| self.formula(depth.saturating_sub(less)));
            match self.below(8) {
                0..3 => format!("({a} {} {b})", self.of(&["+", "-", "*", "*", "/"])),
                3 => format!("({a} * {b} + {c})"),
                4 => format!("(if {b} <= {} then {a} else {c})", self.of(&["0", "-0.5", "1"])),
                5 => format!("{}({a}, {})", self.of(&["max", "min"]), self.of(&["0", "-1", "3"])),
                6 => format!("(0.5 * {a} * erfc(-{b} / 1.5))"),
                _ => format!(
                    "{}({a})",
                    self.of(&["tanh", "exp", "abs", "-", "sigmoid", "erf", "square"])
                ),
            }
        }
    }

    /// Every operation by itself, one number at a time.
    fn one_by_one(graph: &Graph, x: f32, b: f32) -> Vec<u32> {
        let lanes = |number| Lanes::new(pulp::Scalar::new(), number);
        let values = graph.eval_all(&[lanes(x)], &[lanes(b)]);
        values.into_iter().map(|value| bits(value.into_inner())).collect()
    }

    /// The bits of a number; NaN is one number.
    fn bits(number: f32) -> u32 {
        if number.is_nan() { f32::NAN.to_bits() } else { number.to_bits() }
    }

    #[test]
    fn programs_have_the_bits_of_each_operation_by_itself() {
        let mut draw = Draw(1);
        let mut longest = 0;
        let branches = (1..18).fold("x".to_owned(), |rest, i| {
            format!("(if x <= {i} then {} else {rest})", ["0 / 0", "-0", "0"][i % 3])
        });
        let short = [
            "-x",
            "x * x",
            "2 - x",
            "x + b",
            "b * x + 1",
            "(x - 1) * b",
            "b / x",
            "1 / x",
            "x / 3",
            "max(x, 0)",
            "abs(x)",
            "if x <= 0 then 1 else x",
            "if x <= 0 then b * x else x",
            "if b <= 0 then x else 1",
        ];
        let known = short.map(str::to_owned).into_iter();
        let known = known.chain([branches, "0.5 * x * erfc(-x / sqrt(2))".to_owned()]);
        let drawn = std::iter::from_fn(|| Some(draw.formula(6))).take(300);
        for text in known.chain(drawn) {
            let Ok(formula) = TextFormula::parse(&text) else { continue };
            let Ok(graph) = formula.graph(&["b"]) else { continue };
            let slopes = graph.derivatives(1, 1);
            for graph in [graph, slopes] {
                let program = Program::new(&graph);
                longest = longest.max(program.instructions.len());
                // Of whole registers and of parts, of whole blocks of them and of parts, in one tile and in several.
                for length in [1, 37, 64, 300, 2100] {
                    let x: Vec<f32> =
                        (0..length).map(|i| (i * 7 % 41) as f32 / 8.0 - 2.5).collect();
                    let b: Vec<f32> =
                        (0..length).map(|i| (i * 5 % 13) as f32 / 4.0 - 1.5).collect();
                    for numbers in [Values::One(0.75), Values::Each(&b)] {
                        let mut outputs = vec![vec![f32::INFINITY; length]; graph.outputs.len()];
                        let mut slices: Vec<&mut [f32]> =
                            outputs.iter_mut().map(Vec::as_mut_slice).collect();
                        program.run(&[&x], &[numbers], &mut slices);
                        for i in (0..length).step_by(1 + length / 50) {
                            let found: Vec<u32> = outputs.iter().map(|y| bits(y[i])).collect();
                            assert_eq!(
                                found,
                                one_by_one(&graph, x[i], numbers.at(i)),
                                "{text} at {}",
                                x[i]
                            );
                        }
                    }
                }
            }
        }
        assert!(longest > 8, "long programs were tried: {longest}");
    }
}
