//! Texts of a batch do not change each other: neither their numbers nor what is dropped of them.

use activation_testing::activation;
use actlab_core::data::{Batch, BatchInputs, Share, Targets};
use actlab_core::model::{
    BertConfig, Gpt, Head, InputShape, Interface, Model, Network, Pass, Positions, initialize,
};
use actlab_core::objective::{Prepared, cross_entropy};
use actlab_core::sites::{Activations, Sites};
use actlab_core::stream::Draws;
use burn::tensor::Device;

const VOCABULARY: usize = 20;

/// A batch of texts of so many tokens.
fn batch(lengths: &[usize], head: Head, device: &Device) -> Batch {
    let text = |(i, length): (usize, &usize)| {
        (0..*length).map(|j| ((7 * i + 3 * j) % VOCABULARY) as u32).collect()
    };
    let texts: Vec<Vec<u32>> = lengths.iter().enumerate().map(text).collect();
    let inputs = BatchInputs::packed(&texts, device);
    let prepared = |length: &usize| {
        let positions = (head != Head::Classes(2)).then(|| (0..*length).step_by(2).collect());
        let rows = positions.as_ref().map_or(1, Vec::len);
        Prepared { tokens: None, labels: vec![1; rows], positions, units: 1.0 }
    };
    let prepared: Vec<Prepared> = lengths.iter().map(prepared).collect();
    let targets = Targets::new(&prepared, inputs.text().1, device);
    Batch { inputs, targets }
}

/// Logits and losses of the first two texts of a batch, beside texts of so many tokens as `others` says.
fn first_two<N: Network>(
    network: &N,
    head: Head,
    others: &[usize],
    pass: &mut Pass<'_>,
) -> Vec<f32> {
    let lengths = [&[3, 5][..], others].concat();
    let device = network.devices()[0].clone();
    let batch = batch(&lengths, head, &device);
    let rows: usize =
        batch.targets.answers.examples[..2].iter().map(|Share { rows, .. }| rows).sum();
    let logits = network.forward(&batch, pass);
    let [all, _] = logits.dims();
    assert_eq!(all, batch.targets.answers.classes.len());
    let logits = logits.narrow(0, 0, rows);
    let labels = batch.targets.labels.narrow(0, 0, rows);
    let loss = cross_entropy(logits.clone(), labels, 0.0);
    [logits.into_data(), loss.into_data()].iter().flat_map(|data| data.iter::<f32>()).collect()
}

fn check<N: Network>(network: N, head: Head) {
    let network = initialize(network, 1);
    let near = |a: &[f32], b: &[f32]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5)
    };
    let evaluated = |others: &[usize]| first_two(&network, head, others, &mut Pass::evaluation());
    let trained = |others: &[usize], seed| {
        let mut draws = Draws::new(seed, "dropout");
        first_two(&network, head, others, &mut Pass::training(&mut draws))
    };
    let (alone, dropped) = (evaluated(&[]), trained(&[], 1));
    assert!(!near(&alone, &dropped), "dropout changes something");
    assert!(!near(&trained(&[], 2), &dropped), "another seed drops others");
    for others in [&[4][..], &[9, 1], &[12, 12, 7]] {
        assert!(near(&evaluated(others), &alone), "{head:?} beside {others:?}");
        assert!(near(&trained(others, 1), &dropped), "{head:?} with dropout beside {others:?}");
    }
}

#[test]
fn texts_of_bert_do_not_see_each_other() {
    let activations = Activations::from(activation("gelu"));
    for head in [Head::Classes(2), Head::Tokens] {
        let config = BertConfig {
            vocabulary: VOCABULARY,
            positions: 12,
            hidden: 24,
            layers: 2,
            heads: 3,
            feed_forward: 48,
            head,
            dropout: 0.3,
        };
        check(config.init(&Sites::new(&activations), &Device::flex()), head);
    }
}

#[test]
fn texts_of_gpt_do_not_see_each_other() {
    let activations = Activations::from(activation("gelu"));
    for head in [Head::Classes(2), Head::NextToken] {
        for positions in [Positions::Learned, Positions::Rotary] {
            let model = Gpt {
                size: None,
                layers: Some(2),
                width: Some(24),
                heads: Some(3),
                max_length: 12,
                positions,
                tied: true,
                dropout: 0.3,
            };
            let inputs = InputShape::Tokens { vocabulary: VOCABULARY };
            let interface = Interface { inputs, head };
            let sites = Sites::new(&activations);
            check(model.build(&interface, &sites, &Device::flex()).unwrap(), head);
        }
    }
}
