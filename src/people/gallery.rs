//! References of the listed people: made from photos, compared with each other, joined with
//! standings.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::{
    face::{Enroller, Reference},
    fault::{Fault, Position, Remark},
    list::PupilList,
    photo::Photo,
};
use crate::{
    units::PupilId,
    vision::{
        identify::{Embedding, Gallery, Person},
        infer::VisionError,
    },
};

/// Two photos of one person below this cosine are asked about: genuine pairs measured 0.39 to
/// 0.77, pairs of strangers at most 0.30.
const UNLIKE: f32 = 0.25;

/// Photos of two people from this cosine on are asked about, for the same reason.
const ALIKE: f32 = 0.40;

/// References by person, in the order of the person's photos.
pub(super) type References = BTreeMap<PupilId, Vec<Embedding>>;

/// The reference that a photo's one clear face makes.
pub(super) fn embed(
    photo: &Photo,
    enroller: &mut Enroller<'_>,
) -> Result<Result<Reference, Fault>, VisionError> {
    let picture = match photo.picture() {
        Ok(picture) => picture,
        Err(fault) => return Ok(Err(fault)),
    };
    let name = photo.origin.as_ref().map_or("", |o| &o.name);
    Ok(enroller.embed(&picture)?.map_err(|unclear| unclear.of(name)))
}

/// Everyone on the list with what holds today. Photos older than `photo_age`, and those of an unknown
/// day, are not recent.
pub(super) fn assemble(
    list: &PupilList,
    mut references: References,
    photo_age: SignedDuration,
) -> Gallery {
    let people = list
        .people
        .iter()
        .map(|(id, entry)| {
            let references = references.remove(id).unwrap_or_default();
            let is_recent =
                |p: &&Photo| p.taken.is_some_and(|day| day.duration_until(list.today) <= photo_age);
            let recent = entry.photos.iter().filter(is_recent).count();
            (id.clone(), Person { standing: entry.standing(list.today), references, recent })
        })
        .collect();
    Gallery { people }
}

/// What comparing the references with each other suggests, for the operator to look at.
pub(super) fn remarks(list: &PupilList, references: &References) -> Vec<(Position, Remark)> {
    let mut all = vec![];
    for (id, entry) in &list.people {
        let faces = references.get(id).map_or(&[][..], Vec::as_slice);
        for (photo, face) in entry.photos.iter().zip(faces) {
            if let Some(origin) = &photo.origin {
                all.push((id, origin, face));
            }
        }
    }
    all.sort_by_key(|(_, origin, _)| origin.at);
    let mut remarks = vec![];
    for (i, (id, origin, face)) in all.iter().enumerate() {
        let mut own =
            all.iter().filter(|(other, o, _)| other == id && o.at != origin.at).peekable();
        if own.peek().is_some() && own.all(|(_, _, other)| face.cosine(other) < UNLIKE) {
            remarks.push((origin.at, Remark::UnlikeOthers(origin.name.clone())));
        }
        let earlier = all.iter().take(i).filter(|(other, _, _)| other != id);
        if let Some((_, o, _)) = earlier.clone().find(|(_, _, f)| face.cosine(f) >= ALIKE) {
            remarks.push((origin.at, Remark::Resembles(o.at.line)));
        }
    }
    remarks
}
