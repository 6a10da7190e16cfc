/// Where `label` stands: labels that `order` names come first and in that order, then all others
/// alphabetically.
pub(crate) fn position<'a>(order: &[String], label: &'a str) -> (usize, &'a str) {
    (order.iter().position(|known| known == label).unwrap_or(order.len()), label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_labels_come_first_then_the_alphabet() {
        let order = ["relu".to_owned(), "gelu".to_owned()];
        let mut labels = ["silu", "gelu", "mish", "relu"];
        labels.sort_by_key(|label| position(&order, label));
        assert_eq!(labels, ["relu", "gelu", "mish", "silu"]);
    }
}
