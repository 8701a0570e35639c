//! Which decoded pictures rest on data that never arrived. Pure: it sees times and flags.
//!
//! A decoder shows a picture whose reference is missing as if it were whole, smeared with what was
//! there before. So the compressed side is watched: after a gap every picture counts as damaged
//! until the next key frame.

/// What is known of one compressed picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    /// Presentation time in stream time, nanoseconds.
    pub(super) pts: Option<u64>,
    /// Data before this packet were lost.
    pub(super) gap: bool,
    /// The packet itself is known to be incomplete.
    pub(super) corrupt: bool,
    /// It needs no other picture.
    pub(super) key: bool,
}

/// Stretches of stream time that rest on missing data.
#[derive(Debug, Default)]
pub(super) struct Damage {
    started: bool,
    /// Where the current stretch starts; it has no end yet.
    open: Option<u64>,
    /// Closed stretches, `start..end`, that pictures still to come may fall into.
    closed: Vec<(u64, u64)>,
    last_pts: u64,
}

/// Closed stretches are kept in this number; a decoder holds back 16 pictures at most, so older
/// ones can no longer matter.
const KEPT: usize = 32;

impl Damage {
    /// The stream corrected its start: the next packet is marked as following a gap and does not.
    pub(super) fn restart(&mut self) {
        self.started = false;
    }

    /// Notes a compressed picture on its way into the decoder.
    pub(super) fn packet(&mut self, packet: Packet) {
        let pts = packet.pts.unwrap_or(self.last_pts);
        self.last_pts = pts;
        // The first packet after a start is always marked as following a gap.
        let gap = packet.gap && self.started;
        self.started = true;
        if packet.key && !packet.corrupt {
            if let Some(start) = self.open.take() {
                keep(&mut self.closed, (start, pts));
            }
        } else if gap || packet.corrupt || self.open.is_some() {
            // Reordered pictures may lie before the first one that was seen to suffer.
            self.open = Some(self.open.map_or(pts, |start| start.min(pts)));
        }
    }

    /// Notes that the decoder complained before it gave the picture of this stream time: what it
    /// gives from here on rests on a guess. Only a key frame that is still to come ends that: one
    /// that is on its way already may be what it complains about.
    pub(super) fn complaint(&mut self, pts: Option<u64>) {
        let pts = pts.unwrap_or(self.last_pts);
        self.open = Some(self.open.map_or(pts, |start| start.min(pts)));
    }

    /// Whether a decoded picture of this stream time must not be trusted.
    pub(super) fn covers(&self, pts: Option<u64>) -> bool {
        match pts {
            None => self.open.is_some(),
            Some(pts) => {
                self.open.is_some_and(|start| pts >= start)
                    || self.closed.iter().any(|&(start, end)| (start..end).contains(&pts))
            }
        }
    }
}

fn keep<T>(list: &mut Vec<T>, item: T) {
    if list.len() == KEPT {
        list.remove(0);
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(pts: u64) -> Packet {
        Packet { pts: Some(pts), gap: false, corrupt: false, key: false }
    }

    fn key(pts: u64) -> Packet {
        Packet { key: true, ..delta(pts) }
    }

    #[test]
    fn a_gap_lasts_until_the_next_key_frame() {
        let mut damage = Damage::default();
        damage.packet(Packet { gap: true, ..key(0) });
        damage.packet(delta(10));
        assert!(!damage.covers(Some(0)) && !damage.covers(Some(10)) && !damage.covers(None));
        damage.packet(Packet { gap: true, ..delta(40) });
        // A picture shown earlier but decoded later suffers as well.
        damage.packet(delta(30));
        assert!(damage.covers(Some(30)) && damage.covers(Some(40)) && damage.covers(Some(90)));
        assert!(damage.covers(None) && !damage.covers(Some(10)));
        damage.packet(key(100));
        assert!(damage.covers(Some(99)) && !damage.covers(Some(100)) && !damage.covers(Some(5)));
    }

    #[test]
    fn a_complaint_lasts_until_the_next_key_frame() {
        let mut damage = Damage::default();
        damage.packet(key(0));
        damage.packet(delta(10));
        damage.complaint(Some(10));
        assert!(damage.covers(Some(10)) && damage.covers(Some(50)) && !damage.covers(Some(0)));
        damage.packet(key(100));
        assert!(damage.covers(Some(99)) && !damage.covers(Some(100)));
        // A key frame that went in before the complaint may be the reason for it.
        damage.packet(key(200));
        damage.complaint(Some(150));
        assert!(damage.covers(Some(150)) && damage.covers(Some(200)) && !damage.covers(Some(149)));
    }

    #[test]
    fn a_key_frame_after_a_gap_starts_afresh_unless_it_is_broken_itself() {
        let mut damage = Damage::default();
        damage.packet(key(0));
        damage.packet(Packet { gap: true, ..key(50) });
        assert!(!damage.covers(Some(50)));
        damage.packet(Packet { corrupt: true, ..key(100) });
        assert!(damage.covers(Some(100)) && damage.covers(Some(120)));
    }
}
