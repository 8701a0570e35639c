//! Face detection with `YuNet`.
