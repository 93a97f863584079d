//! UIDs that follow from what they stand for: the same source and model give the same ones (PS3.5, B.2).

use sha2::{Digest, Sha256};

/// `2.25.` and a UUID made of the hash of the parts.
pub(crate) fn derived(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let bytes: [u8; 16] = hash.finalize()[..16].try_into().expect("a SHA-256 has 32 bytes");
    let mut uuid = u128::from_be_bytes(bytes);
    // Version 8 (custom) and the variant of RFC 9562.
    uuid = uuid & !(0xf << 76) | 8 << 76;
    uuid = uuid & !(0b11 << 62) | 0b10 << 62;
    format!("2.25.{uuid}")
}

/// Whether a text is a UID: numbers without leading zeros, separated by dots, at most 64 characters (PS3.5, 9.1).
pub(crate) fn is_valid(uid: &str) -> bool {
    let is_number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    uid.len() <= 64 && uid.contains('.') && uid.split('.').all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_valid_repeatable_and_different() {
        let uid = derived(&["1.2.3", "model"]);
        assert_eq!(uid, derived(&["1.2.3", "model"]));
        assert!(is_valid(&uid));
        assert!(["", "1", "1..2", "1.02", "1.a", "not-a-uid"].into_iter().all(|uid| !is_valid(uid)));
        // Where one part ends matters.
        assert_ne!(derived(&["1.2.3m", "odel"]), uid);
    }
}
