//! From [`File`] to [`Config`]: defaults, ranges, and what contradicts what.

use std::{
    collections::BTreeMap,
    fmt::Display,
    net::SocketAddr,
    path::{Component, Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use toml::Spanned;

use super::{
    Api, Audio, Biometrics, Budget, Button, Camera, Clock, Config, Control, Detect, Encode,
    Identify, Indicator, Log, Models, Pupils, Recording, Registers, Store, Veil,
    file::{self, File, Given},
    limits,
    read::Findings,
    values::{Rate, Size, Span, Word},
};
use crate::{units::CameraId, vault::Recipient};

/// Builds the configuration; relative paths start at `base`. What is wrong is noted and its
/// default put in its place, so the result counts only if nothing was found.
pub(super) fn check(file: File, base: &Path, found: &mut Findings<'_>) -> Config {
    let mut check = Check { base, found };
    Config {
        store: check.store(&file.store),
        recording: check.recording(file.recording),
        audio: Audio { mode: chosen(file.audio.mode, Audio::default().mode) },
        cameras: check.cameras(file.camera),
        models: Models {
            folder: check.path("models.folder", file.models.folder.as_ref()),
            onnxruntime: check.path("models.onnxruntime", file.models.onnxruntime.as_ref()),
        },
        detect: check.detect(&file.detect),
        identify: Identify {
            every: check
                .count("identify.every", file.identify.every.as_ref(), limits::IDENTIFY_EVERY)
                .unwrap_or(Identify::default().every),
        },
        veil: check.veil(file.veil),
        encode: check.encode(file.encode),
        biometrics: Biometrics {
            dpia: check.line("biometrics.dpia", file.biometrics.dpia.as_ref()),
        },
        pupils: Pupils {
            photo_age_limit: check
                .span(
                    "pupils.photo-age-limit",
                    file.pupils.photo_age_limit.as_ref(),
                    limits::PHOTO_AGE,
                )
                .unwrap_or(Pupils::default().photo_age_limit),
            list_age_limit: check
                .span(
                    "pupils.list-age-limit",
                    file.pupils.list_age_limit.as_ref(),
                    limits::LIST_AGE,
                )
                .unwrap_or(Pupils::default().list_age_limit),
        },
        registers: Registers {
            reminder_age_limit: check
                .span(
                    "registers.reminder-age-limit",
                    file.registers.reminder_age_limit.as_ref(),
                    limits::REMINDER_AGE,
                )
                .unwrap_or(Registers::default().reminder_age_limit),
        },
        limits: check.budget(&file.limits),
        control: Control { socket: check.path("control.socket", file.control.socket.as_ref()) },
        api: check.api(&file.store, &file.api),
        button: Button {
            device: check.path("button.device", file.button.device.as_ref()),
            danger_remote_start: file.button.danger_remote_start.is_some_and(Spanned::into_inner),
        },
        indicator: Indicator { led: check.path("indicator.led", file.indicator.led.as_ref()) },
        clock: Clock {
            danger_trust: chosen(file.clock.danger_trust, Clock::default().danger_trust),
        },
        log: Log {
            filter: check.filter(file.log.filter.as_ref()).unwrap_or(Log::default().filter),
        },
    }
}

fn chosen<T>(value: Given<Word<T>>, default: T) -> T {
    value.map_or(default, |word| word.into_inner().0)
}

pub(super) struct Check<'a, 't> {
    pub(super) base: &'a Path,
    pub(super) found: &'a mut Findings<'t>,
}

impl Check<'_, '_> {
    fn store(&mut self, from: &file::Store) -> Store {
        let store = Store {
            folder: self.path("store.folder", from.folder.as_ref()),
            box_key: self.path("store.box-key", from.box_key.as_ref()),
            gallery_key: self.path("store.gallery-key", from.gallery_key.as_ref()),
            witness: self.path("store.witness", from.witness.as_ref()),
        };
        if let (Some(witness), Some(folder), Some(place)) =
            (&store.witness, &store.folder, &from.witness)
            && plain(witness).starts_with(plain(folder))
        {
            self.found.add(
                place.span().start,
                Some("store.witness"),
                "lies inside store.folder; who can alter the store must not reach what a witness \
                 keeps",
            );
        }
        let keys = [
            ("store.box-key", &store.box_key, &from.box_key),
            ("store.gallery-key", &store.gallery_key, &from.gallery_key),
        ];
        for (option, key, place) in keys {
            let (Some(key), Some(folder), Some(place)) = (key, &store.folder, place) else {
                continue;
            };
            if plain(key).starts_with(plain(folder)) {
                self.found.add(
                    place.span().start,
                    Some(option),
                    "lies inside store.folder; keep keys outside the store, so that a copy of \
                     the store holds no key",
                );
            }
        }
        if let (Some(box_key), Some(gallery), Some(place)) =
            (&store.box_key, &store.gallery_key, &from.gallery_key)
            && plain(box_key) == plain(gallery)
        {
            self.found.add(
                place.span().start,
                Some("store.gallery-key"),
                "is the same file as store.box-key; every load replaces the gallery key",
            );
        }
        store
    }

    fn api(&mut self, store: &file::Store, from: &file::Api) -> Api {
        let listen = from.listen.as_ref().and_then(|value| {
            let address = value.get_ref().trim().parse::<SocketAddr>().ok();
            if address.is_none() {
                self.found.add(
                    value.span().start,
                    Some("api.listen"),
                    "is no address: write ADDRESS:PORT, such as \"127.0.0.1:8443\", or \
                     \"0.0.0.0:8443\" for every network that the box is in",
                );
            }
            address
        });
        let api = Api {
            listen,
            certificate: self.path("api.certificate", from.certificate.as_ref()),
            key: self.path("api.key", from.key.as_ref()),
            accounts: self.path("api.accounts", from.accounts.as_ref()),
            metrics_token: self.path("api.metrics-token", from.metrics_token.as_ref()),
            plain_http: from.plain_http.as_ref().is_some_and(|value| *value.get_ref()),
        };
        if let (Some(place), true, Some(listen)) = (&from.plain_http, api.plain_http, listen)
            && !listen.ip().is_loopback()
        {
            self.found.add(
                place.span().start,
                Some("api.plain-http"),
                "is for loopback only, and api.listen is not: remove the line, so that passwords \
                 are encrypted on the network",
            );
        }
        let halves = [
            ("api.certificate", &from.certificate, &from.key, "api.key"),
            ("api.key", &from.key, &from.certificate, "api.certificate"),
        ];
        for (option, one, other, missing) in halves {
            if let (Some(place), None) = (one, other) {
                let text = format!("needs {missing} as well; without both the box makes its own");
                self.found.add(place.span().start, Some(option), text);
            }
        }
        let folder = store.folder.as_ref().map(|folder| self.base.join(folder.get_ref()));
        let outside = [
            ("api.key", &api.key, &from.key),
            ("api.accounts", &api.accounts, &from.accounts),
            ("api.metrics-token", &api.metrics_token, &from.metrics_token),
        ];
        for (option, path, place) in outside {
            let (Some(path), Some(folder), Some(place)) = (path, &folder, place) else { continue };
            if plain(path).starts_with(plain(folder)) {
                self.found.add(
                    place.span().start,
                    Some(option),
                    "lies inside store.folder; keep secrets outside the store, so that a copy of \
                     the store holds none",
                );
            }
        }
        api
    }

    fn recording(&mut self, from: file::Recording) -> Recording {
        let default = Recording::default();
        Recording {
            policy: chosen(from.policy, default.policy),
            purpose: self
                .told("recording.purpose", from.purpose.as_ref())
                .unwrap_or(default.purpose),
            legal_basis: self
                .told("recording.legal-basis", from.legal_basis.as_ref())
                .unwrap_or(default.legal_basis),
            retain: self.retain(from.retain.as_ref()).unwrap_or(default.retain),
            segment: self
                .span("recording.segment", from.segment.as_ref(), limits::SEGMENT)
                .unwrap_or(default.segment),
            longest: self
                .span("recording.longest", from.longest.as_ref(), limits::LONGEST)
                .unwrap_or(default.longest),
            class: self.name("recording.class", from.class.as_ref()),
            teacher: self.name("recording.teacher", from.teacher.as_ref()),
            coach: self.name("recording.coach", from.coach.as_ref()),
            recipients: self.recipients(from.recipients),
        }
    }

    fn budget(&mut self, from: &file::Limits) -> Budget {
        let default = Budget::default();
        let mut size = |option, value: &Given<Size>, limits| {
            let value = value.as_ref()?;
            self.within(option, value.span().start, *value.get_ref(), limits)
        };
        Budget {
            memory: size("limits.memory", &from.memory, limits::MEMORY).unwrap_or(default.memory),
            disk_reserve: size("limits.disk-reserve", &from.disk_reserve, limits::DISK_RESERVE)
                .unwrap_or(default.disk_reserve),
        }
    }

    /// An empty retention would mean either "for ever" or "not at all"; neither may be guessed.
    fn retain(&mut self, value: Option<&Spanned<Span>>) -> Option<Duration> {
        if let Some(zero) = value
            && zero.get_ref().0.is_zero()
        {
            self.found.add(
                zero.span().start,
                Some("recording.retain"),
                format!(
                    "an empty retention is refused: write how long recordings are kept, {}",
                    limits::RETAIN
                ),
            );
            return None;
        }
        self.span("recording.retain", value, limits::RETAIN)
    }

    /// A value whose room words the refusal, because it needs a reason.
    fn told<T>(&mut self, option: &str, value: Option<&Spanned<String>>) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let value = value?;
        value
            .get_ref()
            .parse()
            .map_err(|error| self.found.add(value.span().start, Some(option), format!("{error}")))
            .ok()
    }

    fn recipients(&mut self, list: Given<Vec<Spanned<String>>>) -> Vec<Recipient> {
        let mut recipients = Vec::new();
        for item in list.map_or_else(Vec::new, Spanned::into_inner) {
            let wrong = match item.get_ref().trim().parse::<Recipient>() {
                Ok(recipient) if recipients.contains(&recipient) => {
                    "stands here a second time: remove one".to_owned()
                }
                Ok(recipient) => {
                    recipients.push(recipient);
                    continue;
                }
                Err(error) => error.to_string(),
            };
            self.found.add(item.span().start, Some("recording.recipients"), wrong);
        }
        recipients
    }

    fn cameras(&mut self, list: Vec<Spanned<file::Camera>>) -> Vec<Camera> {
        let several = list.len() > 1;
        let mut cameras = Vec::new();
        let mut ids: BTreeMap<CameraId, usize> = BTreeMap::new();
        for (index, item) in list.into_iter().enumerate() {
            let number = index + 1;
            let header = item.span().start;
            let label = format!("camera[{number}]");
            let from = item.into_inner();
            if several && from.id.is_none() {
                self.found.add(header, Some(&label), "needs an id, as there are several cameras");
            }
            let id_place = from.id.as_ref().map_or(header, |id| id.span().start);
            let id = match from.id {
                Some(id) => self.name(&format!("{label}.id"), Some(&id)),
                None => (!several).then(CameraId::first),
            };
            if let Some(id) = &id
                && let Some(first) = ids.insert(id.clone(), number)
            {
                self.found.add(
                    id_place,
                    Some(&format!("{label}.id")),
                    format!("`{id}` is also the id of camera {first}; ids are folder names"),
                );
            }
            if from.input.is_none() {
                self.found.add(
                    header,
                    Some(&label),
                    "needs an input: an rtsp:// address, a /dev/video device or a file",
                );
            }
            let input =
                from.input.as_ref().and_then(|input| self.input(&format!("{label}.input"), input));
            let credentials = self.path(&format!("{label}.credentials"), from.credentials.as_ref());
            if let (Some(place), Some(input)) = (&from.credentials, &input)
                && !input.contains("://")
            {
                self.found.add(
                    place.span().start,
                    Some(&format!("{label}.credentials")),
                    "is for rtsp:// and rtsps:// inputs only: remove it",
                );
            }
            if let (Some(id), Some(input)) = (id, input) {
                cameras.push(Camera { id, input, credentials });
            }
        }
        cameras
    }

    fn detect(&mut self, from: &file::Detect) -> Detect {
        let default = Detect::default();
        let threads = self.count("detect.threads", from.threads.as_ref(), limits::THREADS);
        let size =
            self.side("detect.size", from.size.as_ref(), limits::SIZE).unwrap_or(default.size);
        let detect = Detect {
            threads: threads.unwrap_or(default.threads),
            size,
            full_size: self
                .side("detect.full-size", from.full_size.as_ref(), limits::FULL_SIZE)
                .unwrap_or(default.full_size.max(size)),
            full_every: self
                .count("detect.full-every", from.full_every.as_ref(), limits::FULL_EVERY)
                .unwrap_or(default.full_every),
        };
        if detect.full_size < detect.size {
            let place = from.full_size.as_ref().or(from.size.as_ref());
            self.found.add(
                place.map_or(0, |value| value.span().start),
                Some("detect.full-size"),
                format!(
                    "{} is smaller than detect.size {}: the full-size pass is there to see \
                     smaller faces",
                    detect.full_size, detect.size
                ),
            );
        }
        detect
    }

    fn veil(&mut self, from: file::Veil) -> Veil {
        let default = Veil::default();
        Veil {
            style: chosen(from.style, default.style),
            region: chosen(from.region, default.region),
            look_ahead: self
                .span("veil.look-ahead", from.look_ahead.as_ref(), limits::LOOK_AHEAD)
                .unwrap_or(default.look_ahead),
        }
    }

    fn encode(&mut self, from: file::Encode) -> Encode {
        let default = Encode::default();
        let bitrate = from.bitrate.and_then(|value| {
            let at = value.span().start;
            let rate = value.into_inner().0?;
            self.within("encode.bitrate", at, rate, limits::BITRATE).map(|Rate(bits)| bits)
        });
        Encode {
            encoder: chosen(from.encoder, default.encoder),
            preset: chosen(from.preset, default.preset),
            bitrate,
            threads: self.count("encode.threads", from.threads.as_ref(), limits::ENCODE_THREADS),
        }
    }
}

/// A path without `.` and `..`, by its text alone: what it names need not exist yet.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_without_dots() {
        assert_eq!(plain(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(plain(Path::new("/../a")), Path::new("/a"));
    }
}
