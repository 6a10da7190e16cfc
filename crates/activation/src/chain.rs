//! Which operations of a graph are computed together: chains, each step of which takes what the one before it left.

use crate::graph::{Binary, Constant, Graph, Id, Node, Unary};

/// Most nodes of a chain.
const MOST_NODES: usize = 8;

/// Most operands of a chain: one to begin with, and at most two of each node. A segment of chains has as many, besides what
/// it keeps.
pub(crate) const MOST_OPERANDS: usize = 2 * MOST_NODES + 1;

/// One operation on what the step before it left, which is called r, and on operands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<O = usize> {
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
    /// Two of these at once, each of which rounds.
    LoadMul(O, O),
    LoadAdd(O, O),
    MulMul(O, O),
    /// r · a, and then + b.
    MulThenAdd(O, O),
    /// r + a, and then · b.
    AddMul(O, O),
    /// a − r, and then · b.
    SubFromMul(O, O),
    /// a − r².
    SquareSubFrom(O),
    /// r · a where x is at most the threshold, the last operand elsewhere.
    MulAtMost(O, O, f64, O),
    /// The last operand where x is at most the threshold, r · a elsewhere.
    MulAbove(O, O, f64, O),
    /// f(factor · r).
    Function(Unary, f32),
    /// erfc(factor · r); e^(−(factor · r)²) is kept as this operand.
    ErfcAndGaussian(f32, O),
    /// Keeps r for later steps, as this operand.
    Keep(O),
    /// Writes r to the target of this number.
    Store(usize),
}

impl<O> Step<O> {
    /// The step with what `place` makes of its operands.
    pub(crate) fn map<P>(self, mut place: impl FnMut(O) -> P) -> Step<P> {
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
            Self::LoadMul(a, b) => Step::LoadMul(place(a), place(b)),
            Self::LoadAdd(a, b) => Step::LoadAdd(place(a), place(b)),
            Self::MulMul(a, b) => Step::MulMul(place(a), place(b)),
            Self::MulThenAdd(a, b) => Step::MulThenAdd(place(a), place(b)),
            Self::AddMul(a, b) => Step::AddMul(place(a), place(b)),
            Self::SubFromMul(a, b) => Step::SubFromMul(place(a), place(b)),
            Self::SquareSubFrom(a) => Step::SquareSubFrom(place(a)),
            Self::MulAtMost(a, x, threshold, b) => {
                Step::MulAtMost(place(a), place(x), threshold, place(b))
            }
            Self::MulAbove(a, x, threshold, b) => {
                Step::MulAbove(place(a), place(x), threshold, place(b))
            }
            Self::Function(f, factor) => Step::Function(f, factor),
            Self::ErfcAndGaussian(factor, a) => Step::ErfcAndGaussian(factor, place(a)),
            Self::Keep(a) => Step::Keep(place(a)),
            Self::Store(target) => Step::Store(target),
        }
    }
}

impl<O: Copy> Step<O> {
    /// The operands that it takes; where it keeps something is none of them.
    pub(crate) fn operands(&self) -> Vec<O> {
        let mut operands = Vec::new();
        if !matches!(self, Self::Keep(_) | Self::ErfcAndGaussian(..)) {
            self.map(|operand| operands.push(operand));
        }
        operands
    }

    /// One step for this one and the `next`, to the same bits, where there is one.
    pub(crate) fn and(self, next: Self) -> Option<Self> {
        Some(match (self, next) {
            (Self::Neg, Self::Add(a)) => Self::SubFrom(a),
            (Self::Load(a), Self::Mul(b)) => Self::LoadMul(a, b),
            (Self::Load(a), Self::Add(b)) => Self::LoadAdd(a, b),
            (Self::Mul(a), Self::Mul(b)) => Self::MulMul(a, b),
            (Self::Mul(a), Self::Add(b)) => Self::MulThenAdd(a, b),
            (Self::Add(a), Self::Mul(b)) => Self::AddMul(a, b),
            (Self::SubFrom(a), Self::Mul(b)) => Self::SubFromMul(a, b),
            (Self::Square, Self::SubFrom(a)) => Self::SquareSubFrom(a),
            (Self::Mul(a), Self::AtMost(x, threshold, b)) => Self::MulAtMost(a, x, threshold, b),
            (Self::Mul(a), Self::Above(x, threshold, b)) => Self::MulAbove(a, x, threshold, b),
            _ => return None,
        })
    }
}

/// An operand of a step: a node, or a constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Operand {
    Node(Id),
    Constant(Constant),
}

/// Whether `node` is given, and not computed.
pub(crate) fn is_given(node: &Node) -> bool {
    matches!(node, Node::Input(_) | Node::Number(_) | Node::Constant(_))
}

/// Whether `node` is a function: what multiplies its operand by a constant costs next to nothing.
fn is_function(node: &Node) -> bool {
    let arithmetic = |f| matches!(f, Unary::Neg | Unary::Square | Unary::Abs);
    matches!(*node, Node::Unary(f, _) if !arithmetic(f))
}

/// The step that `node` is, if r is the value of its operand `before`; a function is of `factor` times it.
#[expect(clippy::cast_possible_truncation, reason = "constants of f32 formulas")]
fn step(node: &Node, before: Id, factor: f64) -> Step<Operand> {
    use Operand::Node as At;
    match *node {
        Node::Unary(Unary::Neg, _) => Step::Neg,
        Node::Unary(Unary::Abs, _) => Step::Abs,
        Node::Unary(Unary::Square, _) => Step::Square,
        Node::Unary(f, _) => Step::Function(f, factor as f32),
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
            Binary::Add => Step::Add(Operand::Constant(constant)),
            Binary::Sub => Step::Sub(Operand::Constant(constant)),
            Binary::Mul => Step::Mul(Operand::Constant(constant)),
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

/// Which nodes of a graph are computed together.
pub(crate) struct Chains {
    /// The operand whose chain a node continues.
    before: Vec<Option<Id>>,
    /// The factor that a function multiplies its operand by, and the operand.
    scaled: Vec<Option<(f64, Id)>>,
    /// How often the results of a node are taken; an output is one use.
    uses: Vec<usize>,
    /// Whether a node depends on numbers alone, or on nothing.
    of_numbers: Vec<bool>,
    /// Of erfc(x), the node e^(−x²) that is computed with it.
    gaussian: Vec<Option<Id>>,
}

impl Chains {
    /// The chains of what the outputs of `graph` need.
    pub(crate) fn of(graph: &Graph) -> Self {
        let nodes = &graph.nodes;
        let count = nodes.len();
        let mut chains = Self {
            before: vec![None; count],
            scaled: vec![None; count],
            uses: vec![0; count],
            of_numbers: Vec::with_capacity(count),
            gaussian: vec![None; count],
        };
        for node in nodes {
            let of_numbers = node.operands().into_iter().all(|operand| chains.of_numbers[operand]);
            chains.of_numbers.push(of_numbers && !matches!(node, Node::Input(_)));
        }
        chains.absorb_factors(nodes);
        chains.count_uses(graph);
        chains.pair_gaussians(nodes);
        chains.link(nodes);
        chains
    }

    /// Lets functions multiply their operand by its factor themselves, to the same bits.
    fn absorb_factors(&mut self, nodes: &[Node]) {
        for (id, node) in nodes.iter().enumerate() {
            let Node::Unary(_, x) = *node else { continue };
            if is_function(node) {
                let (mut whole, mut at) = (1.0, x);
                // A sign is exact, and one constant rounds once.
                while let Some((factor, x)) = factor(&nodes[at])
                    && (f64::abs(whole) == 1.0 || f64::abs(factor) == 1.0)
                {
                    (whole, at) = (whole * factor, x);
                }
                self.scaled[id] = Some((whole, at));
            }
        }
    }

    fn count_uses(&mut self, graph: &Graph) {
        let mut open = graph.outputs.clone();
        for output in &graph.outputs {
            self.uses[*output] += 1;
        }
        let mut seen = vec![false; graph.nodes.len()];
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut seen[id], true) {
                for operand in self.operands(&graph.nodes, id) {
                    self.uses[operand] += 1;
                    open.push(operand);
                }
            }
        }
    }

    fn pair_gaussians(&mut self, nodes: &[Node]) {
        for (id, node) in nodes.iter().enumerate() {
            let Node::Unary(Unary::Erfc, x) = *node else { continue };
            let gaussian = Node::Unary(Unary::Gaussian, x);
            let twin = nodes.iter().position(|node| *node == gaussian);
            self.gaussian[id] =
                twin.filter(|twin| *twin > id && self.uses[id] > 0 && self.uses[*twin] > 0);
        }
    }

    /// Continues chains as far as they go.
    fn link(&mut self, nodes: &[Node]) {
        let mut lengths = vec![0; nodes.len()];
        for (id, node) in nodes.iter().enumerate() {
            if is_given(node) || self.uses[id] == 0 {
                continue;
            }
            if self.gaussian[id].is_some() || self.gaussian.contains(&Some(id)) {
                // A chain by itself: two results are left at once.
                lengths[id] = MOST_NODES;
                continue;
            }
            let open = |operand: &Id| {
                self.uses[*operand] == 1
                    && (1..MOST_NODES).contains(&lengths[*operand])
                    && self.of_numbers[*operand] == self.of_numbers[id]
            };
            // The longest of them, whose results are then never written.
            let operands = self.operands(nodes, id).into_iter();
            let longest = operands.filter(open).max_by_key(|one| lengths[*one]);
            lengths[id] = 1 + longest.map_or(0, |operand| lengths[operand]);
            self.before[id] = longest;
        }
    }

    /// The nodes whose results `id` takes, a factor left out that it multiplies by itself.
    fn operands(&self, nodes: &[Node], id: Id) -> Vec<Id> {
        match self.scaled[id] {
            Some((_, x)) => vec![x],
            None => nodes[id].operands(),
        }
    }

    /// How often the results of `id` are taken.
    pub(crate) fn uses(&self, id: Id) -> usize {
        self.uses[id]
    }

    /// Whether `id` depends on numbers alone, or on nothing.
    pub(crate) fn is_of_numbers(&self, id: Id) -> bool {
        self.of_numbers[id]
    }

    /// The node e^(−x²) that is computed with `id`, where that is erfc(x).
    pub(crate) fn gaussian(&self, id: Id) -> Option<Id> {
        self.gaussian[id]
    }

    /// The nodes of the chain that ends in `id`, the last one first.
    fn members(&self, id: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(Some(id), |id| self.before[*id])
    }

    /// The nodes whose results the chain takes that ends in `id`.
    pub(crate) fn taken(&self, nodes: &[Node], id: Id) -> Vec<Id> {
        let own = |member: Id| {
            let inner = self.before[member];
            let operands = self.operands(nodes, member).into_iter();
            operands.filter(move |operand| inner != Some(*operand))
        };
        self.members(id).flat_map(own).collect()
    }

    /// The steps of the chain that ends in `id`.
    pub(crate) fn steps(&self, nodes: &[Node], id: Id) -> Vec<Step<Operand>> {
        let mut members: Vec<Id> = self.members(id).collect();
        members.reverse();
        // The first step loads an operand of the first node.
        let first = self.operands(nodes, members[0]).first().copied().unwrap_or(members[0]);
        let before = std::iter::once(first).chain(members.iter().copied());
        let load = std::iter::once(Step::Load(Operand::Node(first)));
        let step = |(before, member): (Id, &Id)| {
            step(&nodes[*member], before, self.scaled[*member].map_or(1.0, |(factor, _)| factor))
        };
        load.chain(before.zip(&members).map(step)).collect()
    }
}
