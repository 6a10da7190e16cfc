//! A graph as a program over tiles that lie in the cache: each instruction, a function or a chain of arithmetic, runs over
//! a whole tile of SIMD registers, so that what it costs to find out which instruction it is does not count.

use crate::chain::{Chain, Chains, is_arithmetic};
use crate::graph::{Constant, Graph, Id, Node, Unary};
use crate::tile::{self, Scratch, Tile};

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
    Constant(f32),
}

#[derive(Debug, Clone)]
enum Operation {
    /// A function of a constant times the operand.
    Unary(Unary, f32, Source),
    Chain(Chain<Source>),
}

#[derive(Debug, Clone)]
struct Instruction {
    operation: Operation,
    /// The slot that takes the result.
    to: usize,
    /// erfc(x) leaves e^(−x²) in this slot too.
    gaussian: Option<usize>,
    /// The output that the result is, where nothing else takes it: it can be written there.
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
        let mut uses = vec![0_usize; graph.nodes.len()];
        for operand in graph.nodes.iter().flat_map(Node::operands) {
            uses[operand] += 1;
        }
        // What an output needs is never given away.
        for output in &graph.outputs {
            uses[*output] += 1;
        }
        let chains = Chains::of(&graph.nodes, &mut uses);
        let mut compiler =
            Compiler { uses, places: vec![None; graph.nodes.len()], ..Compiler::default() };
        for id in (0..graph.nodes.len()).filter(|id| !chains.is_part(*id)) {
            compiler.add(graph, &chains, id);
        }
        let outputs = graph.outputs.iter().map(|output| compiler.source(*output)).collect();
        let written = compiler.instructions.iter().filter_map(|one| one.output).collect();
        Self { instructions: compiler.instructions, outputs, written, slots: compiler.slots }
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
                Source::Constant(value) => Place::One(value),
            };
            for instruction in &self.instructions {
                match instruction.output.filter(|_| whole) {
                    Some(output) => {
                        let y = &mut outputs[output][from..from + n];
                        scratch.compute(&instruction.operation, find, y);
                    }
                    None => scratch.execute(instruction, find),
                }
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
    fn add(&mut self, graph: &Graph, chains: &Chains, id: Id) {
        let node = &graph.nodes[id];
        if self.places[id].is_some() {
            // The Gaussian that came with erfc.
            node.operands().into_iter().for_each(|operand| self.release(operand));
            return;
        }
        let operation = match *node {
            Node::Input(i) => return self.places[id] = Some(Source::Input(i)),
            Node::Number(i) => return self.places[id] = Some(Source::Number(i)),
            Node::Constant(Constant(value)) => {
                return self.places[id] = Some(Source::Constant(value as f32));
            }
            Node::Unary(f, x) if !is_arithmetic(node) => {
                let (factor, x) = chains.scaled(&graph.nodes, id, x);
                Operation::Unary(f, factor as f32, self.source(x))
            }
            _ => {
                let constant = |value: f64| Source::Constant(value as f32);
                let place = |id: Id| self.source(id);
                Operation::Chain(Chain::new(&graph.nodes, chains, id, place, constant))
            }
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
        // An output is one use.
        let alone = self.uses[id] == 1 && gaussian.is_none();
        let output = graph.outputs.iter().position(|output| *output == id).filter(|_| alone);
        self.instructions.push(Instruction { operation, to, gaussian, output });
        for member in chains.members(id) {
            graph.nodes[member].operands().into_iter().for_each(|operand| self.release(operand));
        }
    }
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

    #[inline(always)]
    fn execute<'a>(&mut self, instruction: &Instruction, find: impl Fn(Source) -> Place<'a>) {
        let mut target = self.take_slot(instruction.to);
        let y = target.numbers_mut(self.used);
        match (&instruction.operation, instruction.gaussian) {
            (Operation::Unary(_, factor, x), Some(slot)) => {
                let mut gaussian = self.take_slot(slot);
                let numbers = gaussian.numbers_mut(self.used);
                tile::erfc_and_gaussian(*factor, self.tile(find(*x)), y, numbers);
                self.put_slot(slot, gaussian);
            }
            (operation, _) => self.compute(operation, find, y),
        }
        self.put_slot(instruction.to, target);
    }

    #[inline(always)]
    fn compute<'scratch, 'a: 'scratch>(
        &'scratch self,
        operation: &Operation,
        find: impl Fn(Source) -> Place<'a>,
        y: &mut [f32],
    ) {
        let at = |source: Source| -> Tile<'scratch> { self.tile(find(source)) };
        match operation {
            Operation::Unary(f, factor, x) => tile::unary(*f, *factor, at(*x), y),
            Operation::Chain(chain) => chain.run(at, y),
        }
    }
}
