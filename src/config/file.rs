//! The shape of the file: sections and options as TOML has them, with the place of each value.
//!
//! Belongs here: names and types. Does not belong: defaults, ranges and what contradicts what; they
//! are the business of `check`.

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};
use toml::Spanned;

use super::values::{AudioMode, AutoRate, Size, Span, TimeTrust, Word};
use crate::{
    encode::{EncoderChoice, Preset},
    veil::{
        Style,
        policy::{Policy, Region},
    },
};

/// A value that the file gives, with its place.
pub(super) type Given<T> = Option<Spanned<T>>;

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
        pub(super) struct $name {
            $(pub(super) $field: $type,)+
        }
    };
}

section! {
    /// The whole file.
    File {
        store: Store,
        recording: Recording,
        audio: Audio,
        camera: Vec<Spanned<Camera>>,
        models: Models,
        detect: Detect,
        identify: Identify,
        veil: Veil,
        encode: Encode,
        biometrics: Biometrics,
        pupils: Pupils,
        registers: Registers,
        limits: Limits,
        control: Control,
        api: Api,
        button: Button,
        indicator: Indicator,
        clock: Clock,
        log: Log,
    }
}

section! {
    /// `[store]`.
    Store {
        folder: Given<String>,
        box_key: Given<String>,
        gallery_key: Given<String>,
        witness: Given<String>,
    }
}

section! {
    /// `[recording]`. What names people, and the two choices whose refusal needs its reason, stay
    /// text here: the names' errors are worded by `check`, the choices' by their room.
    Recording {
        policy: Given<Word<Policy>>,
        purpose: Given<String>,
        legal_basis: Given<String>,
        retain: Given<Span>,
        segment: Given<Span>,
        longest: Given<Span>,
        class: Given<String>,
        teacher: Given<String>,
        coach: Given<String>,
        recipients: Given<Vec<Spanned<String>>>,
    }
}

section! {
    /// `[audio]`.
    Audio {
        mode: Given<Word<AudioMode>>,
    }
}

section! {
    /// One `[[camera]]`.
    Camera {
        id: Given<String>,
        input: Given<String>,
        credentials: Given<String>,
    }
}

section! {
    /// `[models]`.
    Models {
        folder: Given<String>,
        onnxruntime: Given<String>,
    }
}

section! {
    /// `[detect]`.
    Detect {
        threads: Given<Count>,
        size: Given<Count>,
        full_size: Given<Count>,
        full_every: Given<Count>,
    }
}

section! {
    /// `[identify]`.
    Identify {
        every: Given<Count>,
    }
}

section! {
    /// `[veil]`.
    Veil {
        style: Given<Word<Style>>,
        region: Given<Word<Region>>,
        look_ahead: Given<Span>,
    }
}

section! {
    /// `[encode]`.
    Encode {
        encoder: Given<Word<EncoderChoice>>,
        preset: Given<Word<Preset>>,
        bitrate: Given<AutoRate>,
        threads: Given<Count>,
    }
}

section! {
    /// `[biometrics]`.
    Biometrics {
        dpia: Given<String>,
    }
}

section! {
    /// `[pupils]`.
    Pupils {
        photo_age_limit: Given<Span>,
        list_age_limit: Given<Span>,
    }
}

section! {
    /// `[registers]`.
    Registers {
        reminder_age_limit: Given<Span>,
    }
}

section! {
    /// `[limits]`.
    Limits {
        memory: Given<Size>,
        disk_reserve: Given<Size>,
    }
}

section! {
    /// `[control]`.
    Control {
        socket: Given<String>,
    }
}

section! {
    /// `[api]`.
    Api {
        listen: Given<String>,
        certificate: Given<String>,
        key: Given<String>,
        accounts: Given<String>,
        metrics_token: Given<String>,
        plain_http: Given<bool>,
    }
}

section! {
    /// `[button]`.
    Button {
        device: Given<String>,
        danger_remote_start: Given<bool>,
    }
}

section! {
    /// `[indicator]`.
    Indicator {
        led: Given<String>,
    }
}

section! {
    /// `[clock]`.
    Clock {
        danger_trust: Given<Word<TimeTrust>>,
    }
}

section! {
    /// `[log]`.
    Log {
        filter: Given<String>,
    }
}

/// A whole number without a unit. Read wide, so that a negative or huge one is told its range
/// rather than the width of an integer in this program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count(pub(super) i64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Whole;

        impl Visitor<'_> for Whole {
            type Value = Count;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number without quotes")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Count, E> {
                Ok(Count(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Count, E> {
                Ok(Count(i64::try_from(value).unwrap_or(i64::MAX)))
            }
        }

        from.deserialize_i64(Whole)
    }
}

/// The names that a section may hold, as serde sees them: no second list to keep in step.
pub(super) fn names<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    struct Names<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = de::value::Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _name: &'static str,
            fields: &'static [&'static str],
            _visitor: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            // Nothing is read; the caller wants the names only.
            Err(de::Error::custom("names only"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("names only"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
            option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
            ignored_any
        }
    }

    let mut names: &'static [&'static str] = &[];
    // The error is the one made above.
    let _ = T::deserialize(Names(&mut names));
    names
}

/// The sections and the names in each, in the order of the reference.
pub(super) fn sections() -> Vec<(&'static str, &'static [&'static str])> {
    names::<File>()
        .iter()
        .map(|&section| {
            let options = match section {
                "store" => names::<Store>(),
                "recording" => names::<Recording>(),
                "audio" => names::<Audio>(),
                "camera" => names::<Camera>(),
                "models" => names::<Models>(),
                "detect" => names::<Detect>(),
                "identify" => names::<Identify>(),
                "veil" => names::<Veil>(),
                "encode" => names::<Encode>(),
                "biometrics" => names::<Biometrics>(),
                "pupils" => names::<Pupils>(),
                "registers" => names::<Registers>(),
                "limits" => names::<Limits>(),
                "control" => names::<Control>(),
                "api" => names::<Api>(),
                "button" => names::<Button>(),
                "indicator" => names::<Indicator>(),
                "clock" => names::<Clock>(),
                "log" => names::<Log>(),
                _ => &[],
            };
            (section, options)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_tells_its_names() {
        let sections = sections();
        assert_eq!(sections.len(), 19);
        for (section, options) in sections {
            assert!(!options.is_empty(), "[{section}] has no options");
            for option in options {
                assert!(
                    option.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                    "{section}.{option} is not kebab-case"
                );
            }
        }
    }

    #[test]
    fn serde_refuses_unknown_names_by_itself() {
        assert!(toml::from_str::<File>("[store]\nfolders = \"x\"").is_err());
        assert!(toml::from_str::<File>("[stores]\nfolder = \"x\"").is_err());
        assert!(toml::from_str::<File>("[store]\nfolder = \"x\"").is_ok());
    }
}
