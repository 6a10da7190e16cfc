//! Activations whose formula is text: a card, which is a TOML file of this folder, for each.
//!
//! CONTRIBUTING.md says what stands in a card. `values.json` holds figures that
//! `scripts/activation_values.py` computes from the papers' formulas with mpmath, independently of the cards.

const CARDS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/cards.rs"));

activation::register_cards!(CARDS);

#[cfg(test)]
mod tests {
    use super::CARDS;
    use activation::{Activation, Kind};
    use activation_testing::{activation, assert_close, assert_conforms};
    use serde::Deserialize;
    use std::collections::{BTreeMap, BTreeSet};
    use {
        activation_gelu as _, activation_leaky_relu as _, activation_relu as _,
        activation_silu as _,
    };

    /// Figures of one activation at the defaults of its parameters.
    #[derive(Deserialize)]
    struct Figures {
        /// x, f(x), f′(x), and the derivatives by the parameters.
        #[serde(default)]
        points: Vec<(f64, f64, f64, BTreeMap<String, f64>)>,
        /// gate, value, y, and the derivatives by gate and value.
        #[serde(default)]
        gated: Vec<(f64, f64, f64, f64, f64)>,
    }

    fn all() -> Vec<std::sync::Arc<Activation>> {
        let names = CARDS.iter().filter_map(|(file, _)| file.strip_suffix(".toml"));
        names.map(activation).collect()
    }

    #[test]
    fn every_card_conforms() {
        assert!(CARDS.len() >= 60);
        let mut failed = Vec::new();
        for (file, _) in CARDS {
            let name = file.strip_suffix(".toml").unwrap();
            if let Err(reason) = std::panic::catch_unwind(|| assert_conforms(name)) {
                failed.push(reason.downcast_ref::<String>().cloned());
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn figures_are_those_of_mpmath() {
        let figures: BTreeMap<String, Figures> =
            serde_json::from_str(include_str!("../values.json")).unwrap();
        let cards: BTreeSet<&str> =
            CARDS.iter().filter_map(|(file, _)| file.strip_suffix(".toml")).collect();
        let computed: BTreeSet<&str> = figures.keys().map(String::as_str).collect();
        // A card that is not published has no paper whose formula could be computed.
        let published = |name: &&&str| activation(name).registration().citation != "unpublished";
        let missing: Vec<&&str> = cards.difference(&computed).filter(published).collect();
        assert!(missing.is_empty(), "add {missing:?} to scripts/activation_values.py and run it");
        let unknown: Vec<&&str> = computed.difference(&cards).collect();
        assert!(unknown.is_empty(), "values.json has figures of {unknown:?}, which have no card");
        for (name, Figures { points, gated }) in &figures {
            let activation = activation(name);
            let (with_numbers, numbers) = (activation.with_numbers(), activation.numbers());
            for (x, y, slope, by_numbers) in points {
                let at = format!("{name} at {x}");
                let (actual, derivatives) = with_numbers.eval(&[*x], &numbers);
                assert_close(&at, actual, *y, 1e-300, 1e-12);
                assert_close(&format!("slope of {at}"), derivatives[0], *slope, 1e-300, 1e-11);
                for (i, number) in activation.registration().numbers().enumerate() {
                    let expected = by_numbers[number.name.as_ref()];
                    let what = format!("derivative of {at} by {}", number.name);
                    assert_close(&what, derivatives[1 + i], expected, 1e-12, 1e-9);
                }
            }
            for (gate, value, y, by_gate, by_value) in gated {
                let at = format!("{name} at ({gate}, {value})");
                let Kind::Gated(f) = activation.kind() else { panic!("{name} is not gated") };
                let actual = f.eval(*gate, *value);
                assert_close(&at, actual.0, *y, 1e-300, 1e-12);
                assert_close(&at, actual.1, *by_gate, 1e-300, 1e-11);
                assert_close(&at, actual.2, *by_value, 1e-300, 1e-11);
            }
        }
    }

    /// Figures of PyTorch for one card.
    #[derive(Deserialize)]
    struct Torch {
        x: Vec<f64>,
        y: Vec<f64>,
        dy_dx: Vec<f64>,
    }

    #[derive(Deserialize)]
    struct Oracle {
        pointwise: BTreeMap<String, Torch>,
        gated: BTreeMap<String, serde_json::Value>,
    }

    #[test]
    fn figures_are_those_of_pytorch() {
        let oracle = include_str!("../../../activation-testing/oracle/pytorch.json");
        let Oracle { pointwise, gated } = serde_json::from_str(oracle).unwrap();
        let mut compared = 0;
        for card in all() {
            let registration = card.registration();
            let name = &registration.name;
            if registration.card.pytorch.is_none() {
                continue;
            }
            compared += 1;
            if registration.kind == "gated" {
                assert!(gated.contains_key(name));
                activation_testing::assert_agrees_with_pytorch(name, name);
                continue;
            }
            let Torch { x, y, dy_dx } = &pointwise[name];
            let f = card.nonlinearity();
            for i in 0..x.len() {
                let (at, (value, slope)) = (format!("{name} at {}", x[i]), f.eval(x[i]));
                assert_close(&at, value, y[i], 1e-12, 1e-12);
                // PyTorch takes another side where a function has a kink.
                let (left, right) = (f.eval(x[i] - 1e-9).1, f.eval(x[i] + 1e-9).1);
                if (left - right).abs() < 1e-6 {
                    // Its hard sigmoid has 1/6 in single precision.
                    assert_close(&format!("slope of {at}"), slope, dy_dx[i], 1e-8, 1e-12);
                }
            }
        }
        assert!(compared >= 20, "{compared}");
    }

    #[test]
    fn identities_hold() {
        let mut count = 0;
        for card in all() {
            for identity in &card.registration().card.identities {
                let (this, is) = (activation(&identity.this), activation(&identity.is));
                for i in -800..=800 {
                    let x = f64::from(i) / 100.0;
                    let (a, b) = (this.nonlinearity().eval(x).0, is.nonlinearity().eval(x).0);
                    let what = format!("{} and {} at {x}", identity.this, identity.is);
                    assert_close(&what, a, b, identity.tolerance, 0.0);
                }
                count += 1;
            }
        }
        assert!(count >= 30);
    }

    #[test]
    fn every_card_says_where_its_formula_is_from() {
        for card in all() {
            let registration = card.registration();
            assert!(!registration.citation.is_empty() && !registration.latex.is_empty());
            assert!(registration.formula().is_some());
        }
    }
}
