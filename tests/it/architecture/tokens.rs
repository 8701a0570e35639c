//! Just enough of Rust's grammar to read paths: words, `::`, single characters and strings, with
//! comments and test code left out.

/// A piece of source text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// An identifier or keyword.
    Word(String),
    /// What a string literal holds.
    Text(String),
    /// `::`.
    Path,
    /// Any other character.
    Mark(char),
}

/// A piece and its line, from 1.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) piece: Piece,
    pub(super) line: usize,
}

impl Token {
    pub(super) fn word(&self) -> Option<&str> {
        match &self.piece {
            Piece::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn is(&self, mark: char) -> bool {
        self.piece == Piece::Mark(mark)
    }
}

/// The tokens of `source`, without what is compiled for tests only.
pub(super) fn product_code(source: &str) -> Vec<Token> {
    without_tests(&tokens(source))
}

fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(&c) = chars.get(at) {
        let start = at;
        let next = chars.get(at + 1).copied();
        let piece = if c == '/' && next == Some('/') {
            at = end_of_line(&chars, at);
            None
        } else if c == '/' && next == Some('*') {
            at = end_of_comment(&chars, at);
            None
        } else if let Some((text_from, hashes, raw)) = string_start(&chars, at) {
            let (text, end) = string(&chars, text_from, hashes, raw);
            at = end;
            Some(Piece::Text(text))
        } else if c == '\'' {
            at = end_of_quote(&chars, at);
            None
        } else if c.is_alphabetic() || c == '_' {
            while chars.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_') {
                at += 1;
            }
            Some(Piece::Word(chars[start..at].iter().collect()))
        } else if c == ':' && next == Some(':') {
            at += 2;
            Some(Piece::Path)
        } else {
            at += 1;
            (!c.is_whitespace()).then_some(Piece::Mark(c))
        };
        if let Some(piece) = piece {
            tokens.push(Token { piece, line });
        }
        line += chars[start..at.min(chars.len())].iter().filter(|&&c| c == '\n').count();
    }
    tokens
}

fn end_of_line(chars: &[char], from: usize) -> usize {
    chars[from..].iter().position(|&c| c == '\n').map_or(chars.len(), |n| from + n)
}

/// Block comments nest.
fn end_of_comment(chars: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Where a string literal's text begins, its number of `#`, and whether it is raw.
fn string_start(chars: &[char], from: usize) -> Option<(usize, usize, bool)> {
    let mut at = from;
    if matches!(chars[at], 'b' | 'c') && matches!(chars.get(at + 1), Some('r' | '"')) {
        at += 1;
    }
    let raw = chars[at] == 'r' && matches!(chars.get(at + 1), Some('#' | '"'));
    if raw {
        at += 1;
    }
    let hashes = chars[at..].iter().take_while(|&&c| raw && c == '#').count();
    (chars.get(at + hashes) == Some(&'"')).then_some((at + hashes + 1, hashes, raw))
}

fn string(chars: &[char], from: usize, hashes: usize, raw: bool) -> (String, usize) {
    let mut at = from;
    while at < chars.len() {
        if chars[at] == '\\' && !raw {
            at += 2;
        } else if chars[at] == '"' && chars[at + 1..].iter().take(hashes).all(|&c| c == '#') {
            break;
        } else {
            at += 1;
        }
    }
    let at = at.min(chars.len());
    (chars[from..at].iter().collect(), at + 1 + hashes)
}

/// After a character literal, or after the quote of a lifetime.
fn end_of_quote(chars: &[char], from: usize) -> usize {
    if chars.get(from + 1) == Some(&'\\') {
        let rest = &chars[(from + 3).min(chars.len())..];
        return rest.iter().position(|&c| c == '\'').map_or(chars.len(), |n| from + 3 + n + 1);
    }
    if chars.get(from + 2) == Some(&'\'') { from + 3 } else { from + 1 }
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_cfg_test(&tokens[at..]) {
            at = end_of_item(tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn is_cfg_test(tokens: &[Token]) -> bool {
    let mut said = String::new();
    for token in tokens.iter().take(7) {
        match &token.piece {
            Piece::Word(word) => said.push_str(word),
            Piece::Mark(mark) => said.push(*mark),
            _ => return false,
        }
    }
    said == "#[cfg(test)]"
}

/// After the item whose first attribute begins at `from`.
fn end_of_item(tokens: &[Token], from: usize) -> usize {
    let mut at = from;
    while tokens.get(at).is_some_and(|t| t.is('#')) {
        at = end_of_brackets(tokens, at + 1);
    }
    let import = tokens.get(at).and_then(Token::word) == Some("use");
    while let Some(token) = tokens.get(at) {
        if token.is(';') {
            return at + 1;
        }
        if token.is('{') {
            at = end_of_brackets(tokens, at);
            if !import {
                return at;
            }
        } else if token.is('(') || token.is('[') {
            at = end_of_brackets(tokens, at);
        } else {
            at += 1;
        }
    }
    at
}

/// After the bracket that closes the one at `from`.
fn end_of_brackets(tokens: &[Token], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.piece {
            Piece::Mark('(' | '[' | '{') => depth += 1,
            Piece::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

#[test]
fn comments_strings_and_tests_are_told_apart() {
    let source = r##"
        //! crate::a
        /* crate::b /* nested */ still */
        fn f<'a>(c: char) -> &'a str { if c == '"' || c == '\'' { r#"crate::"c"# } else { "\"d" } }
        #[cfg(test)]
        use crate::{e::F};
        #[cfg(test)]
        #[allow(dead_code)]
        mod tests { fn g() { crate::h::i(); } }
        use crate::kept;
    "##;
    let tokens = product_code(source);
    let words: Vec<_> = tokens.iter().filter_map(Token::word).collect();
    assert!(
        !words.iter().any(|w| ["a1", "b", "e", "F", "g", "h", "tests"].contains(w)),
        "{words:?}"
    );
    assert_eq!(&words[words.len() - 3..], ["use", "crate", "kept"]);
    let texts: Vec<_> = tokens.iter().filter(|t| matches!(t.piece, Piece::Text(_))).collect();
    assert_eq!(texts.len(), 2);
    assert_eq!(tokens.last().unwrap().line, 10);
}
