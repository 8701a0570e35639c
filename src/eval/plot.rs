//! Who showed when: one lane for each person, coloured over time, as SVG.

use std::fmt::Write as _;

use super::tally::Spot;

/// One person in one scene.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) scene: String,
    pub(super) person: String,
    /// Has to be veiled.
    pub(super) hides: bool,
    pub(super) spots: Vec<Spot>,
}

const LEFT: f32 = 190.0;
const WIDTH: f32 = 900.0;
const LANE: f32 = 14.0;
const TOP: f32 = 54.0;

fn colour(spot: Spot) -> Option<&'static str> {
    match spot {
        Spot::Absent => None,
        Spot::Sliver => Some("#f2a3a3"),
        Spot::Veiled => Some("#6b7f99"),
        Spot::Clear => Some("#d40000"),
        Spot::Shown => Some("#8fc98f"),
        Spot::Needless => Some("#e8a33d"),
        Spot::Shaded => Some("#d8cfa8"),
    }
}

const LEGEND: [(Spot, &str); 6] = [
    (Spot::Clear, "shows, must not"),
    (Spot::Sliver, "a sliver shows, must not"),
    (Spot::Veiled, "veiled"),
    (Spot::Shown, "shown, may be"),
    (Spot::Needless, "veiled without need"),
    (Spot::Shaded, "behind another's veil"),
];

/// The plot of one policy.
pub(super) fn svg(lanes: &[Lane], fps: u32, title: &str) -> String {
    let longest = lanes.iter().map(|lane| lane.spots.len()).max().unwrap_or(0).max(1);
    let step = WIDTH / longest as f32;
    let scenes = lanes.windows(2).filter(|pair| pair[0].scene != pair[1].scene).count();
    let height = TOP + LANE * (lanes.len() + scenes) as f32 + 30.0;
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{height:.0}\" \
         font-family=\"sans-serif\" font-size=\"10\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"16\" font-size=\"13\">policy {title}: one lane for each person, \
         {:.1} s</text>",
        LEFT + WIDTH + 20.0,
        longest as f32 / fps.max(1) as f32,
    );
    for (at, (spot, word)) in LEGEND.into_iter().enumerate() {
        let x = 8.0 + 150.0 * at as f32;
        let fill = colour(spot).unwrap_or("none");
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"26\" width=\"10\" height=\"10\" fill=\"{fill}\"/>\
             <text x=\"{}\" y=\"35\">{word}</text>",
            x + 14.0
        );
    }
    let mut y = TOP;
    for (at, lane) in lanes.iter().enumerate() {
        if at > 0 && lanes[at - 1].scene != lane.scene {
            y += LANE;
        }
        let mark = if lane.hides { "veil" } else { "show" };
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{:.1}\">{} {} ({mark})</text>",
            y + 9.0,
            lane.scene,
            lane.person
        );
        let mut from = 0;
        while from < lane.spots.len() {
            let spot = lane.spots[from];
            let run = lane.spots[from..].iter().take_while(|s| **s == spot).count();
            if let Some(fill) = colour(spot) {
                // A single picture must not vanish.
                let width = (step * run as f32).max(1.0);
                let x = LEFT + step * from as f32;
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"11\" \
                     fill=\"{fill}\"/>"
                );
            }
            from += run;
        }
        y += LANE;
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_clear_picture_is_one_red_mark() {
        let mut spots = vec![Spot::Veiled; 300];
        spots[100] = Spot::Clear;
        let lane = |spots| Lane { scene: "edge".into(), person: "p-01".into(), hides: true, spots };
        let red = |lane| svg(&[lane], 30, "refused").matches("#d40000").count();
        // The legend has one.
        assert_eq!(red(lane(spots)), 2);
        assert_eq!(red(lane(vec![Spot::Veiled; 300])), 1);
    }
}
