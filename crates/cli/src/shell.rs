//! Command lines as a shell reads them, for messages.

/// Quotes an argument where a shell would split or expand it.
pub(crate) fn quote(argument: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+:@,=".contains(letter);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_split_or_expand_is_quoted() {
        assert_eq!(quote("data/Task09_Spleen"), "data/Task09_Spleen");
        assert_eq!(quote("my scans"), "'my scans'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
