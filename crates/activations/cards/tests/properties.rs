//! Moments and features of activations, against figures that were computed independently.

use activation::properties::{Monotone, Properties};
use activation_testing::{activation, assert_close};
use {activation_cards as _, activation_gelu as _, activation_leaky_relu as _};
use {activation_relu as _, activation_silu as _};

/// Activation, E[f], E[f²], 1/√E[f²] and E[f′²] for z ~ N(0, 1), to four decimals, by a numerical integration in Python.
#[expect(clippy::approx_constant, reason = "the gain of ReLU is √2")]
const MOMENTS: &[(&str, [f64; 4])] = &[
    ("sigmoid", [0.5000, 0.2934, 1.8462, 0.0448]),
    ("tanh", [0.0, 0.3943, 1.5925, 0.4644]),
    ("softsign", [0.0, 0.1830, 2.3375, 0.2277]),
    ("softplus", [0.8061, 0.9212, 1.0419, 0.2934]),
    ("relu", [0.3989, 0.5000, 1.4142, 0.5000]),
    ("relu6", [0.3989, 0.5000, 1.4142, 0.5000]),
    ("leaky_relu", [0.3950, 0.5000, 1.4141, 0.5000]),
    ("leaky_relu(slope=0.25)", [0.2992, 0.5312, 1.3720, 0.5312]),
    ("elu", [0.1605, 0.6449, 1.2452, 0.6681]),
    ("selu", [0.0, 1.0, 1.0, 1.0715]),
    ("gelu", [0.2821, 0.4252, 1.5335, 0.4559]),
    ("gelu(approximate=tanh)", [0.2820, 0.4252, 1.5336, 0.4558]),
    ("quick_gelu", [0.2823, 0.4220, 1.5395, 0.4495]),
    ("silu", [0.2066, 0.3558, 1.6765, 0.3795]),
    ("hardswish", [0.1662, 0.3316, 1.7367, 0.3585]),
    ("hard_mish", [0.2386, 0.5643, 1.3312, 0.6566]),
    ("mish", [0.2404, 0.4523, 1.4868, 0.4791]),
    ("telu", [0.2621, 0.5291, 1.3748, 0.5612]),
    ("logish", [0.1398, 0.1945, 2.2677, 0.2061]),
    ("smish", [0.1201, 0.1584, 2.5130, 0.1676]),
    ("serf", [0.2493, 0.5014, 1.4122, 0.5300]),
    ("erfact", [0.2434, 0.5294, 1.3743, 0.5559]),
    ("pserf", [0.2152, 0.5495, 1.3490, 0.5797]),
    ("smu", [0.2177, 0.4932, 1.4240, 0.5103]),
    ("swish_t", [0.2066, 0.4203, 1.5425, 0.4447]),
    ("swish_t_c", [0.2066, 0.3988, 1.5834, 0.4226]),
    ("golu", [0.2589, 0.3196, 1.7688, 0.3475]),
    ("squareplus", [1.1093, 1.5000, 0.8165, 0.2893]),
    ("smelu", [0.4623, 0.5248, 1.3803, 0.3790]),
    ("relu_squared", [0.5000, 1.5000, 0.8165, 2.0000]),
    ("leaky_relu_squared", [0.6250, 1.5937, 0.7921, 2.1250]),
    ("smoothed_relu_squared", [0.5000, 1.5100, 0.8138, 2.0022]),
    ("star_relu", [0.0, 0.9999, 1.0000, 1.5999]),
    ("xielu", [0.5284, 1.7355, 0.7591, 2.0703]),
    ("polyrelu", [0.5656, 2.2754, 0.6629, 3.3523]),
    ("snake", [0.4323, 1.3074, 0.8746, 1.4998]),
    ("gcu", [0.0, 0.2970, 1.8349, 1.0000]),
    ("sinlu", [0.3386, 0.8995, 1.0544, 0.9769]),
    ("coslu", [0.5099, 0.5381, 1.3633, 0.3128]),
    ("gelu_sine", [0.2821, 0.4902, 1.4283, 0.5222]),
    ("gelu_sinc", [0.2852, 0.4249, 1.5342, 0.4775]),
    ("b_silu", [0.2066, 0.8218, 1.1031, 0.8496]),
    ("xatlu", [0.2087, 0.3467, 1.6984, 0.3624]),
    ("penalized_tanh", [0.2085, 0.2095, 2.1849, 0.2467]),
    ("elish", [0.2392, 0.3431, 1.7073, 0.3665]),
];

#[test]
fn moments_are_those_of_another_program() {
    for (name, [mean, second, gain, slope]) in MOMENTS {
        let moments = Properties::of(&activation(name)).moments;
        for (what, found, right) in [
            ("E[f]", moments.mean, mean),
            ("E[f²]", moments.second, second),
            ("gain", moments.gain(), gain),
            ("E[f′²]", moments.slope, slope),
        ] {
            // Four decimals, of which the last one of a simple rule may be off by one.
            assert_close(&format!("{what} of {name}"), found, *right, 1.6e-4, 0.0);
        }
    }
}

#[test]
fn moments_in_closed_form() {
    let moments = |name: &str| Properties::of(&activation(name)).moments;
    let relu = moments("relu");
    assert_close("E[relu]", relu.mean, 1.0 / (2.0 * std::f64::consts::PI).sqrt(), 1e-12, 0.0);
    assert_close("gain of relu", relu.gain(), 2.0_f64.sqrt(), 1e-12, 0.0);
    assert_close("E[relu′²]", relu.slope, 0.5, 1e-12, 0.0);
    // x > 0 with ½, the rest with slope² · ½.
    let leaky = moments("leaky_relu(slope=0.2)");
    assert_close("E[f²] of leaky_relu", leaky.second, 0.5 * (1.0 + 0.04), 1e-12, 0.0);
    assert_close("E[f²] of relu_squared", moments("relu_squared").second, 1.5, 1e-11, 0.0);
    assert_close("E[f²] of the identity", moments("identity").second, 1.0, 1e-12, 0.0);
    // E[Φ(z) z] = 1/(2√π).
    let gelu = moments("gelu").mean;
    assert_close("E[gelu]", gelu, 0.5 / std::f64::consts::PI.sqrt(), 1e-12, 0.0);
    assert_close("gain of selu", moments("selu").gain(), 1.0, 1e-9, 0.0);
}

/// LaTeX is that of every value of a parameter: it has symbols, and not the defaults.
#[test]
fn latex_has_no_default_in_the_place_of_a_parameter() {
    for entry in activation::all() {
        for parameter in entry.numbers() {
            let default = entry.defaults()[parameter.name.as_ref()].to_string();
            let is_plain = default.trim_end_matches(".0").trim_start_matches('-').len() == 1;
            assert!(is_plain || !entry.latex.contains(&default), "{}: {}", entry.name, entry.latex);
        }
    }
    for name in ["hardtanh", "lecun_tanh"] {
        let latex = activation(name).registration().latex.clone();
        assert!(!latex.contains(|c: char| c.is_ascii_digit()), "{name}: {latex}");
    }
}

/// Every registered activation has features without contradiction.
#[test]
fn features_do_not_contradict_each_other() {
    for entry in activation::all() {
        let activation = activation(&entry.name);
        let Properties { features, moments } = Properties::of(&activation);
        let name = &entry.name;
        assert!(!features.has_nan && moments.second > 0.0, "{name}");
        assert!(features.infimum.value <= features.supremum.value, "{name}: {features:?}");
        for limit in features.limits.iter().flatten() {
            let range = features.infimum.value - 1e-9..=features.supremum.value + 1e-9;
            assert!(range.contains(limit), "{name}: {limit} outside of {range:?}");
        }
        let single = features.monotone != Monotone::No;
        assert_eq!(single, features.turns.is_empty(), "{name}: {features:?}");
        for x in &features.zeros {
            assert!(activation.nonlinearity().eval(*x).0.abs() < 1e-9, "{name} at {x}");
        }
        for i in -200..=200 {
            let (y, slope) = activation.nonlinearity().eval(f64::from(i) / 20.0);
            let range = features.infimum.value - 1e-9..=features.supremum.value + 1e-9;
            assert!(range.contains(&y), "{name}: {y} outside of {range:?}");
            assert!(slope.abs() <= features.lipschitz * (1.0 + 1e-6), "{name}: {slope}");
        }
    }
}

/// What is printed for each registered activation is read again as the same function.
#[test]
fn printed_formulas_are_the_functions() {
    for entry in activation::all().iter().filter(|entry| entry.kind == "pointwise") {
        let activation = activation(&entry.name);
        for (infix, slope) in [
            (activation.infix_of_nonlinearity(), false),
            (activation.infix_of_derivatives().swap_remove(0).1, true),
        ] {
            let lines = infix.lines();
            assert!(lines.iter().all(|line| !line.is_empty()), "{lines:?}");
            if lines.len() > 1 || lines[0].chars().all(|c| c.is_ascii_digit() || c == '-') {
                continue;
            }
            let numbers = activation.registration().numbers().zip(activation.numbers());
            let values: Vec<String> = numbers
                .filter(|(number, _)| mentions(&lines[0], &number.name))
                .map(|(number, value)| format!("{}={value}", number.name))
                .collect();
            let text = if values.is_empty() {
                format!("printed: {}", lines[0])
            } else {
                format!("printed: {} where {}", lines[0], values.join(", "))
            };
            let printed = activation::build(&text.parse().unwrap()).unwrap();
            for i in -60..60 {
                let x = (f64::from(i) + 0.37) / 10.0;
                let (y, dy) = activation.nonlinearity().eval(x);
                let right = if slope { dy } else { y };
                let found = printed.nonlinearity().eval(x).0;
                assert_close(&format!("{text} at {x}"), found, right, 1e-7, 1e-6);
            }
        }
    }
}

/// Whether the word `name` is in `text`.
fn mentions(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
}
