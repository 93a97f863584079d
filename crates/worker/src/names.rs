//! Names of streams, subjects and consumers.
//!
//! ```text
//! stream QUEUE        subjects QUEUE.study.MODEL   work queue: a study is deleted when it is acknowledged
//! stream QUEUE-dead   subjects QUEUE.dead.ID       the last dead letter of each job
//! consumer MODEL      of QUEUE.study.MODEL         shared by all workers of a model
//! ```

/// Stands for the dots of a model's name, which separate the parts of a subject.
const DOT: &str = "~";

/// Whether a text can name a queue.
pub fn is_queue_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

pub(crate) fn dead_stream(queue: &str) -> String {
    format!("{queue}-dead")
}

pub(crate) fn all_studies(queue: &str) -> String {
    format!("{queue}.study.>")
}

pub(crate) fn all_dead(queue: &str) -> String {
    format!("{queue}.dead.>")
}

pub(crate) fn study_subject(queue: &str, model: &str) -> String {
    format!("{queue}.study.{}", consumer(model))
}

pub(crate) fn dead_subject(queue: &str, id: &str) -> String {
    format!("{queue}.dead.{id}")
}

/// The consumer of a model.
pub(crate) fn consumer(model: &str) -> String {
    model.replace('.', DOT)
}

/// The model of a subject or consumer.
pub(crate) fn model_of(name: &str) -> String {
    name.rsplit('.').next().unwrap_or_default().replace(DOT, ".")
}

/// Whether a text can name a model.
pub(crate) fn is_model_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_with_dots_is_one_part_of_a_subject() {
        let subject = study_subject("bipvl", "liver-1.5");
        assert_eq!(subject, "bipvl.study.liver-1~5");
        assert_eq!(model_of(&subject), "liver-1.5");
        assert_eq!(model_of(&consumer("liver-1.5")), "liver-1.5");
    }

    #[test]
    fn names_hold_no_wildcards() {
        assert!(is_queue_name("studies_2-a") && is_model_name("a.b-1_c"));
        for name in ["", "a b", "a*", "a>", "ä", "a~b"] {
            assert!(!is_queue_name(name) && !is_model_name(name), "{name}");
        }
        assert!(!is_queue_name("a.b"));
    }
}
