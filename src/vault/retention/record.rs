//! The retention record: what a segment says about itself inside its encrypted MP4, so that no
//! configuration is needed to know why it exists and when it must be gone.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::{LegalBasis, Manifest, Purpose};
use crate::units::{CameraId, RecordingId};

/// What was done in one segment, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SegmentCounts {
    /// Tracks that were veiled at any time.
    pub tracks_veiled: u64,
    /// Tracks that were shown at any time.
    pub tracks_shown: u64,
    /// Frames in the segment.
    pub frames: u64,
    /// Frames veiled whole for want of a verdict.
    pub frames_veiled_whole: u64,
}

/// What the look at the finished picture found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelfCheck {
    /// No face that should be veiled was found again.
    Passed,
    /// Something was found and the pictures in question were veiled whole.
    Corrected,
    /// The check did not run on this segment.
    NotRun,
}

/// What segments of a recording have in common. Cameras' threads hold a copy each.
#[derive(Clone, Debug)]
pub struct RetentionRecord {
    pub(in crate::vault) recording: RecordingId,
    purpose: Purpose,
    legal_basis: LegalBasis,
    delete_by: Timestamp,
    policy: String,
    list_version: String,
}

/// The comment of a recording's joined file, from those of its segments: counts are added up, so a
/// track counts once for each segment it is in, and the self-check's verdict is the worst; lists that
/// took the place of the first stand beside it. `None` where a comment is none of ours.
pub(in crate::vault) fn joined(comments: &[String]) -> Option<String> {
    let read = |text: &String| serde_json::from_str::<Map<String, Value>>(text).ok();
    let all = comments.iter().map(read).collect::<Option<Vec<_>>>()?;
    let mut whole = all.first()?.clone();
    whole.remove("segment")?;
    whole.insert("segments".to_owned(), all.len().into());
    let counts = all.iter().map(|c| c.get("counts")?.as_object()).collect::<Option<Vec<_>>>()?;
    let mut sums = Map::new();
    for name in counts.first()?.keys() {
        let each = counts.iter().map(|c| c.get(name)?.as_u64()).collect::<Option<Vec<_>>>()?;
        sums.insert(name.clone(), each.iter().sum::<u64>().into());
    }
    whole.insert("counts".to_owned(), sums.into());
    let verdicts = [SelfCheck::Corrected, SelfCheck::NotRun, SelfCheck::Passed]
        .map(|verdict| serde_json::to_value(verdict).unwrap_or_default());
    let worst = verdicts.iter().find(|v| all.iter().any(|c| c.get("self_check") == Some(v)))?;
    whole.insert("self_check".to_owned(), worst.clone());
    let mut lists: Vec<&Value> = all.iter().filter_map(|c| c.get("list_version")).collect();
    lists.dedup();
    if let [_, later @ ..] = &lists[..]
        && !later.is_empty()
    {
        whole.insert("later_lists".to_owned(), later.iter().copied().cloned().collect());
    }
    serde_json::to_string(&whole).ok()
}

#[derive(Serialize)]
struct Comment<'a> {
    classveil: u32,
    recording: RecordingId,
    camera: &'a CameraId,
    segment: u32,
    purpose: Purpose,
    legal_basis: LegalBasis,
    recorded_at: Timestamp,
    delete_by: Timestamp,
    policy: &'a str,
    list_version: &'a str,
    counts: SegmentCounts,
    self_check: SelfCheck,
}

impl RetentionRecord {
    pub(in super::super) fn of(manifest: &Manifest) -> Self {
        Self {
            recording: manifest.recording,
            purpose: manifest.purpose,
            legal_basis: manifest.legal_basis,
            delete_by: manifest.delete_by,
            policy: manifest.policy.clone(),
            list_version: manifest.list_version.clone(),
        }
    }

    /// Another list is in force from now on.
    pub fn replace_list(&mut self, version: String, policy: String) {
        self.list_version = version;
        self.policy = policy;
    }

    /// The JSON text for the `comment` tag of a segment whose first frame was taken at
    /// `recorded_at`.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "nothing in a comment can fail to serialise")]
    pub fn comment(
        &self,
        camera: &CameraId,
        segment: u32,
        recorded_at: Timestamp,
        counts: SegmentCounts,
        self_check: SelfCheck,
    ) -> String {
        let comment = Comment {
            classveil: 1,
            recording: self.recording,
            camera,
            segment,
            purpose: self.purpose,
            legal_basis: self.legal_basis,
            recorded_at,
            delete_by: self.delete_by,
            policy: &self.policy,
            list_version: &self.list_version,
            counts,
            self_check,
        };
        serde_json::to_string(&comment).expect("strings, numbers and times are valid JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_of_the_whole_is_no_segments() {
        let segment = |number: u32, frames: u64, check: &str| {
            format!(
                r#"{{"classveil":1,"segment":{number},"purpose":"coaching","counts":{{"frames":{frames},"tracks_veiled":2}},"self_check":"{check}"}}"#
            )
        };
        let whole = joined(&[segment(1, 75, "passed"), segment(2, 30, "corrected")]).unwrap();
        let whole: Value = serde_json::from_str(&whole).unwrap();
        let expected = serde_json::json!({
            "classveil": 1,
            "segments": 2,
            "purpose": "coaching",
            "counts": { "frames": 105, "tracks_veiled": 4 },
            "self_check": "corrected",
        });
        assert_eq!(whole, expected);
        let listed = |number: u32, list: &str| {
            let text = segment(number, 75, "passed");
            text.replacen('{', &format!(r#"{{"list_version":"{list}","#), 1)
        };
        let whole = joined(&[listed(1, "a"), listed(2, "a"), listed(3, "b")]).unwrap();
        let whole: Value = serde_json::from_str(&whole).unwrap();
        assert_eq!((&whole["list_version"], &whole["later_lists"]), (&"a".into(), &["b"].into()));
        assert_eq!(joined(&["segment 1".to_owned()]), None);
        assert_eq!(joined(&[]), None);
    }
}
