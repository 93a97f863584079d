//! Which part of many studies a process does: every N-th, from the K-th.

use std::{fmt, str::FromStr};

use anyhow::{Result, bail};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Shard K of N, from 0: of studies in a fixed order, those whose place is K modulo N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// K.
    pub(crate) index: usize,
    /// N.
    pub(crate) count: usize,
}

impl Shard {
    /// Shard `index` of `count`; `None` if there is no such shard.
    pub(crate) fn new(index: usize, count: usize) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// Whether the study at a place belongs to this shard.
    pub(crate) fn has(self, place: usize) -> bool {
        place % self.count == self.index
    }

    /// How many of `studies` belong to this shard.
    pub(crate) fn len(self, studies: usize) -> usize {
        (studies + self.count - 1 - self.index) / self.count
    }

    /// The task of a Slurm job array, whose environment `variable` reads.
    ///
    /// # Errors
    ///
    /// When this is no task of a job array, or the array has gaps, so that nothing says how many tasks share the work.
    pub(crate) fn from_slurm(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let number = |name: &str| -> Result<usize> {
            let Some(text) = variable(name) else {
                bail!(
                    "--shard: {name} is not set, so this is no task of a Slurm job array; give K/N, such as 0/10"
                );
            };
            match text.parse() {
                Ok(number) => Ok(number),
                Err(_) => bail!("--shard: {name} is `{text}`, expected a number; give K/N, such as 0/10"),
            }
        };
        let [task, first, count] =
            ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT"].map(number);
        let (task, first, count) = (task?, first?, count?);
        let last = variable("SLURM_ARRAY_TASK_MAX").and_then(|text| text.parse().ok());
        let has_gaps = last.is_some_and(|last: usize| last + 1 != first + count);
        match task.checked_sub(first).and_then(|index| Self::new(index, count)) {
            Some(shard) if !has_gaps => Ok(shard),
            _ => bail!(
                "--shard: the job array has gaps ({count} tasks from {first}, this is {task}), so the number of \
                 shards is not known; give K/N, such as \"$SLURM_ARRAY_TASK_ID/10\""
            ),
        }
    }

    /// The name of a file of this shard: `NAME-K-of-N.ENDING`.
    pub(crate) fn file_name(self, name: &str, ending: &str) -> String {
        format!("{name}-{}-of-{}.{ending}", self.index, self.count)
    }

    /// The parts of a name of [`Self::file_name`].
    pub(crate) fn of_file_name<'a>(file: &'a str, ending: &str) -> Option<(&'a str, Self)> {
        let (rest, count) = file.strip_suffix(ending)?.strip_suffix('.')?.rsplit_once("-of-")?;
        let (name, index) = rest.rsplit_once('-')?;
        Some((name, Self::new(index.parse().ok()?, count.parse().ok()?)?))
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        numbers
            .and_then(|(index, count)| Self::new(index, count))
            .ok_or_else(|| "expected K/N with K from 0 to N-1, such as 0/10".to_owned())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slurm(variables: &[(&str, &str)]) -> Result<Shard> {
        Shard::from_slurm(|name| {
            let found =
                variables.iter().find(|(key, _)| *key == name.trim_start_matches("SLURM_ARRAY_TASK_"));
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn every_study_is_in_one_shard() {
        for (studies, count) in [(0, 3), (7, 3), (9, 3), (2, 5), (1000, 7)] {
            let shards: Vec<Shard> = (0..count).map(|index| Shard { index, count }).collect();
            for place in 0..studies {
                assert_eq!(shards.iter().filter(|shard| shard.has(place)).count(), 1);
            }
            for shard in &shards {
                assert_eq!(shard.len(studies), (0..studies).filter(|place| shard.has(*place)).count());
            }
        }
    }

    #[test]
    fn a_shard_is_written_k_of_n_from_0() {
        assert_eq!("3/10".parse(), Ok(Shard { index: 3, count: 10 }));
        for wrong in ["10/10", "3", "-1/2", "0/0", "a/b", "1/2/3", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_tasks_of_an_array_are_counted_from_the_first() {
        let array =
            |task, min, max, count| slurm(&[("ID", task), ("MIN", min), ("MAX", max), ("COUNT", count)]);
        assert_eq!(array("0", "0", "9", "10").unwrap(), Shard { index: 0, count: 10 });
        assert_eq!(array("10", "1", "10", "10").unwrap(), Shard { index: 9, count: 10 });
        // `--array=3,7`, `--array=0-8:2`.
        for (task, min, max, count) in [("3", "3", "7", "2"), ("7", "3", "7", "2"), ("2", "0", "8", "5")] {
            assert!(array(task, min, max, count).unwrap_err().to_string().contains("gaps"));
        }
        let error = slurm(&[("MIN", "0"), ("COUNT", "2")]).unwrap_err().to_string();
        assert!(error.contains("SLURM_ARRAY_TASK_ID is not set") && error.contains("give K/N"), "{error}");
        assert!(array("x", "0", "1", "2").unwrap_err().to_string().contains("is `x`"));
    }

    #[test]
    fn names_of_files_say_the_shard() {
        let shard = Shard { index: 3, count: 10 };
        let name = shard.file_name("all-of-them", "json");
        assert_eq!(name, "all-of-them-3-of-10.json");
        assert_eq!(Shard::of_file_name(&name, "json"), Some(("all-of-them", shard)));
        for other in ["scores.json", "scores-10-of-10.json", "scores-3-of-10.jsonl", "scores-a-of-b.json"] {
            assert_eq!(Shard::of_file_name(other, "json"), None, "{other}");
        }
    }
}
