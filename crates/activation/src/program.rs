//! A graph as a program over slices: segments of chains, each of which runs over a tile that lies in the cache. Most formulas
//! are one segment, which reads and writes each number once, and then a tile is as long as the slices.

use crate::chain::{self, Chains, MOST_OPERANDS, Step, is_given};
use crate::graph::{Constant, Graph, Id, Node};
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
    /// A slot of what depends on numbers alone.
    OfNumbers(usize),
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

/// A segment, and where its results go.
#[derive(Debug, Clone)]
struct Instruction {
    segment: Segment<Source>,
    targets: Vec<Target>,
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
    /// What depends on numbers alone, in the first slots.
    of_numbers: Vec<Instruction>,
    instructions: Vec<Instruction>,
    outputs: Vec<Source>,
    /// The outputs that are written by their instructions.
    written: Vec<usize>,
    slots: usize,
    /// Numbers that go through the instructions together.
    tile: usize,
}

impl Program {
    pub(crate) fn new(graph: &Graph) -> Self {
        let mut compiler = Compiler::new(graph);
        compiler.compile();
        let outputs = graph.outputs.iter().map(|output| compiler.source(*output)).collect();
        let Compiler { of_numbers, instructions, slots, .. } = compiler;
        let written = instructions.iter().flat_map(Instruction::outputs).collect();
        let one_pass = instructions.iter().all(Instruction::is_one_pass) && instructions.len() == 1;
        let tile = if one_pass { LONG_TILE } else { TILE };
        Self { of_numbers, instructions, outputs, written, slots, tile }
    }

    /// Computes each output for each element. Whether one may have NaN.
    ///
    /// # Panics
    /// If lengths differ.
    pub(crate) fn run<'a>(
        &self,
        inputs: &[&'a [f32]],
        numbers: &[Values<'a>],
        outputs: &mut [&mut [f32]],
    ) -> bool {
        let length = outputs.first().map_or(0, |output| output.len());
        let right = |other: usize| assert_eq!(other, length, "one output for each input");
        inputs.iter().for_each(|input| right(input.len()));
        outputs.iter().for_each(|output| right(output.len()));
        let mut scratch = Scratch::take(self.slots + inputs.len() + numbers.len());
        let singles = self.singles(numbers, &mut scratch);
        let once = if singles.is_some() { &[] } else { self.of_numbers.as_slice() };
        // Slots have so many numbers.
        let tile = if once.is_empty() { self.tile } else { TILE };
        let mut from = 0;
        let mut alarmed = false;
        while from < length {
            // A tile of whole registers is read and written where it lies.
            let left = length - from;
            let whole = left >= WIDEST;
            let n = if whole { tile.min(left / WIDEST * WIDEST) } else { left };
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
                Source::OfNumbers(slot) => match &singles {
                    Some(singles) => Place::One(singles[slot]),
                    None => Place::Slot(slot),
                },
                Source::Constant(constant) => Place::One(constant.0),
            };
            for instruction in once.iter().chain(&self.instructions) {
                let outputs = outputs.iter_mut().map(|output| &mut output[from..from + n]);
                alarmed |= scratch.execute(instruction, find, outputs, whole);
            }
            for (place, output) in outputs.iter_mut().enumerate() {
                if !(whole && self.written.contains(&place)) {
                    alarmed |=
                        scratch.store(find(self.outputs[place]), &mut output[from..from + n]);
                }
            }
            from += n;
        }
        alarmed
    }

    /// What depends on numbers alone, where that is the same for every element, by its slots.
    fn singles(&self, numbers: &[Values<'_>], scratch: &mut Scratch) -> Option<Vec<f32>> {
        let last = self.of_numbers.last()?;
        let one = |number: &Values<'_>| match number {
            Values::One(value) => Some(*value),
            Values::Each(_) => None,
        };
        let numbers = numbers.iter().map(one).collect::<Option<Vec<f32>>>()?;
        scratch.used = WIDEST;
        for instruction in &self.of_numbers {
            let find = |source| match source {
                Source::Number(i) => Place::One(numbers[i]),
                Source::Constant(constant) => Place::One(constant.0),
                Source::OfNumbers(slot) => Place::Slot(slot),
                Source::Slot(_) | Source::Input(_) => unreachable!("of numbers alone"),
            };
            scratch.execute(instruction, find, std::iter::empty(), false);
        }
        let slots = 1 + last.targets.iter().map(|target| target.slot).max()?;
        Some((0..slots).map(|slot| scratch.first(slot)).collect())
    }
}

/// Numbers of a tile of a program of one pass, which leaves nothing in the cache for another.
const LONG_TILE: usize = 1 << 20;

/// Where the numbers of an operand are in one tile.
#[derive(Clone, Copy)]
enum Place<'a> {
    Slot(usize),
    One(f32),
    Each(&'a [f32]),
}

impl Instruction {
    /// The outputs that it writes.
    fn outputs(&self) -> impl Iterator<Item = usize> {
        self.targets.iter().filter_map(|target| target.output)
    }

    /// Whether it reads and writes each number once, and writes nothing but outputs.
    fn is_one_pass(&self) -> bool {
        self.segment.is_one_pass() && self.outputs().count() == self.targets.len()
    }
}

struct Compiler<'a> {
    graph: &'a Graph,
    chains: Chains,
    of_numbers: Vec<Instruction>,
    instructions: Vec<Instruction>,
    /// How often the results of a node are still taken.
    uses: Vec<usize>,
    places: Vec<Option<Source>>,
    free: Vec<usize>,
    slots: usize,
}

impl<'a> Compiler<'a> {
    fn new(graph: &'a Graph) -> Self {
        let chains = Chains::of(graph);
        let given = |node: &Node| match *node {
            Node::Input(i) => Some(Source::Input(i)),
            Node::Number(i) => Some(Source::Number(i)),
            Node::Constant(constant) => Some(source_of(constant)),
            _ => None,
        };
        Self {
            graph,
            of_numbers: Vec::new(),
            instructions: Vec::new(),
            uses: (0..graph.nodes.len()).map(|id| chains.uses(id)).collect(),
            places: graph.nodes.iter().map(given).collect(),
            chains,
            free: Vec::new(),
            slots: 0,
        }
    }

    fn source(&self, id: Id) -> Source {
        self.places[id].expect("operands stand before what takes them")
    }

    fn slot(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    /// Frees the slots of what nothing takes after the chain `id`.
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
        if self.chains.is_of_numbers(id) {
            self.places[id] = Some(Source::OfNumbers(slot));
            return Target { slot, output: None };
        }
        self.places[id] = Some(Source::Slot(slot));
        let output = self.graph.outputs.iter().position(|output| *output == id);
        Target { slot, output: output.filter(|_| self.chains.uses(id) == 1) }
    }

    /// The chains that outputs need, in segments; those of numbers alone come first.
    fn compile(&mut self) {
        let nodes = &self.graph.nodes;
        let mut open = self.graph.outputs.clone();
        let mut ends: Vec<Id> = Vec::new();
        while let Some(id) = open.pop() {
            if !is_given(&nodes[id]) && !ends.contains(&id) {
                ends.push(id);
                open.extend(self.chains.taken(nodes, id));
            }
        }
        ends.sort_unstable();
        let (of_numbers, others): (Vec<Id>, Vec<Id>) =
            ends.into_iter().partition(|id| self.chains.is_of_numbers(*id));
        self.of_numbers = self.segments(&of_numbers);
        self.instructions = self.segments(&others);
    }

    fn segments(&mut self, mut ends: &[Id]) -> Vec<Instruction> {
        let mut segments = Vec::new();
        while !ends.is_empty() {
            let (now, later) = ends.split_at(self.fitting(ends));
            segments.push(self.segment(now));
            ends = later;
        }
        segments
    }

    /// How many of the chains that end in `ends` fit into a segment.
    fn fitting(&self, ends: &[Id]) -> usize {
        let mut operands = Vec::new();
        let fits = |(place, id): &(usize, &Id)| {
            for step in self.chains.steps(&self.graph.nodes, **id) {
                step.map(|operand| {
                    let kept = |end| operand == chain::Operand::Node(end);
                    let here = ends[..*place].iter().any(|end| kept(*end));
                    if !here && !operands.contains(&operand) {
                        operands.push(operand);
                    }
                });
            }
            operands.len() <= MOST_OPERANDS
        };
        // A chain alone always fits.
        ends.iter().take(MOST_CHAINS).enumerate().take_while(fits).count().max(1)
    }

    /// The chains that end in `ends`, in one segment.
    fn segment(&mut self, ends: &[Id]) -> Instruction {
        let nodes = &self.graph.nodes;
        let (mut steps, mut targets) = (Vec::new(), Vec::new());
        let place_of = |ends: &[Id], id: Id| ends.iter().position(|end| *end == id);
        let mut last = None;
        for (place, id) in ends.iter().enumerate() {
            let within = |other: &Id| self.chains.taken(nodes, *other).into_iter();
            let here = ends.iter().flat_map(within).filter(|taken| taken == id).count();
            let operand = |operand: chain::Operand| match operand {
                chain::Operand::Node(id) => match place_of(&ends[..place], id) {
                    Some(kept) => Operand::Kept(kept),
                    None => Operand::Of(self.source(id)),
                },
                chain::Operand::Constant(constant) => Operand::Of(source_of(constant)),
            };
            // The Gaussian that came with erfc is kept.
            let is_twin = |end: &Id| self.chains.gaussian(*end) == Some(*id);
            let twin = self.chains.gaussian(*id).and_then(|twin| place_of(ends, twin));
            if ends[..place].iter().any(is_twin) {
                steps.push(Step::Load(Operand::Kept(place)));
            } else {
                for step in self.chains.steps(nodes, *id) {
                    // What the chain before it left is still at hand.
                    let at_hand =
                        matches!(step, Step::Load(chain::Operand::Node(id)) if last == Some(id));
                    let step = step.map(operand);
                    steps.extend(match (step, twin) {
                        _ if at_hand => None,
                        (Step::Function(_, factor), Some(twin)) => {
                            Some(Step::ErfcAndGaussian(factor, Operand::Kept(twin)))
                        }
                        (step, _) => Some(step),
                    });
                }
                if here > 0 {
                    steps.push(Step::Keep(Operand::Kept(place)));
                }
            }
            last = Some(*id);
            if self.chains.uses(*id) > here {
                steps.push(Step::Store(targets.len()));
                targets.push(*id);
            }
        }
        let taken: Vec<Operand<Source>> = steps.iter().flat_map(Step::operands).collect();
        steps.retain(|step| !matches!(step, Step::Keep(kept) if !taken.contains(kept)));
        let targets = targets.into_iter().map(|id| self.target(id)).collect();
        // Not before: a segment writes nowhere where it reads.
        for id in ends {
            self.release(*id);
        }
        Instruction { segment: Segment::new(steps), targets }
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

    /// Writes an output that no instruction has written. Whether it has NaN.
    fn store(&self, place: Place<'_>, values: &mut [f32]) -> bool {
        match self.tile(place) {
            Tile::Each(numbers) => {
                values.copy_from_slice(&numbers[..values.len()]);
                tile::has_nan(values)
            }
            Tile::One(number) => {
                values.fill(number);
                number.is_nan()
            }
        }
    }

    /// Executes an instruction on a tile, which has these `outputs`; of `whole` registers it is written to them. Whether an
    /// output may have NaN.
    fn execute<'a, 'output>(
        &mut self,
        instruction: &Instruction,
        find: impl Fn(Source) -> Place<'a>,
        outputs: impl Iterator<Item = &'output mut [f32]>,
        whole: bool,
    ) -> bool {
        let Instruction { segment, targets } = instruction;
        let slot_of = |target: &Target| (!whole || target.output.is_none()).then_some(target.slot);
        // Most often nothing needs a slot: then this allocates nothing.
        let slots = targets.iter().filter_map(slot_of);
        let mut taken: Vec<Slot> = slots.clone().map(|slot| self.take_slot(slot)).collect();
        let mut to: [&mut [f32]; MOST_CHAINS] = Default::default();
        for (place, output) in outputs.enumerate() {
            if let Some(at) = targets.iter().position(|target| target.output == Some(place)) {
                to[at] = output;
            }
        }
        let in_slots = targets.iter().zip(&mut to).filter(|(target, _)| slot_of(target).is_some());
        for ((_, to), memory) in in_slots.zip(&mut taken) {
            *to = memory.numbers_mut(self.used);
        }
        let mut known = std::mem::take(&mut self.known);
        let alarmed = segment.run(
            |source| self.tile(find(source)),
            known.numbers_mut(KNOWN),
            &mut to[..targets.len()],
        );
        self.known = known;
        for (slot, memory) in slots.zip(taken) {
            self.put_slot(slot, memory);
        }
        // What is not whole has more numbers than the outputs, and is looked at where those are written.
        alarmed && whole && targets.iter().any(|target| target.output.is_some())
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
            "x * exp(b)",
            "tanh(exp(b) * x) + exp(b)",
            "exp(b) * tanh(exp(b) + 1)",
            "exp(x) * erfc(x) / sigmoid(x)",
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
                longest = longest.max(program.of_numbers.len() + program.instructions.len());
                // Of whole registers and of parts, of whole blocks of them and of parts, in one tile and in several.
                for length in [0, 1, 15, 16, 37, 64, 300, 2100] {
                    let x: Vec<f32> =
                        (0..length).map(|i| (i * 7 % 41) as f32 / 8.0 - 2.5).collect();
                    let b: Vec<f32> =
                        (0..length).map(|i| (i * 5 % 13) as f32 / 4.0 - 1.5).collect();
                    for numbers in [Values::One(0.75), Values::Each(&b)] {
                        let mut outputs = vec![vec![f32::INFINITY; length]; graph.outputs.len()];
                        let mut slices: Vec<&mut [f32]> =
                            outputs.iter_mut().map(Vec::as_mut_slice).collect();
                        let alarmed = program.run(&[&x], &[numbers], &mut slices);
                        let has_nan = outputs.iter().flatten().any(|y| y.is_nan());
                        assert!(alarmed || !has_nan, "{text} has NaN");
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
        assert!(longest > 3, "long programs were tried: {longest}");
    }
}
