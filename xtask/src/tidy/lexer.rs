//! Reads Rust as tokens and comments, so that rules never mistake a string for code.
//!
//! This is not a parser: it knows words, numbers, literals, marks and comments, each with its
//! line. That is all the rules need, and it keeps a full syntax crate out of the build.

/// What a token is; strings, characters and lifetimes are told apart from words and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or a name, without the `r#` of a raw one.
    Word,
    /// A number literal with its suffix.
    Number,
    /// A string or character literal with its quotes.
    Literal,
    /// A lifetime or a loop label.
    Lifetime,
    /// Punctuation: `::`, `..` and one character otherwise.
    Mark,
}

/// One token and the line it starts on, counted from 1.
#[derive(Clone, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// As written.
    pub text: String,
    /// Where it starts.
    pub line: usize,
    /// Whether it stands in test code; set by `region`.
    pub test: bool,
}

impl Token {
    /// Whether this is the keyword or name `word`.
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }

    /// Whether this is the punctuation `mark`.
    pub fn is_mark(&self, mark: &str) -> bool {
        self.kind == Kind::Mark && self.text == mark
    }
}

/// One line of a comment, without its line's other contents.
#[derive(Clone, Debug)]
pub struct Comment {
    /// The text, slashes included.
    pub text: String,
    /// Where it stands.
    pub line: usize,
    /// Whether it stands in test code; set by `region`.
    pub test: bool,
}

/// Splits Rust source into tokens and comments. Total: odd input gives odd tokens, never a panic.
pub fn lex(text: &str) -> (Vec<Token>, Vec<Comment>) {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
        line: 1,
        tokens: Vec::new(),
        comments: Vec::new(),
    };
    while let Some(first) = lexer.peek(0) {
        lexer.step(first);
    }
    (lexer.tokens, lexer.comments)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
}

impl Lexer {
    fn step(&mut self, first: char) {
        let second = self.peek(1);
        if first == '/' && second == Some('/') {
            self.line_comment();
        } else if first == '/' && second == Some('*') {
            self.block_comment();
        } else if first.is_whitespace() {
            self.take();
        } else if first.is_ascii_digit() {
            self.number();
        } else if is_name_start(first) {
            self.word_or_prefixed();
        } else if first == '"' {
            self.quoted('"', String::new());
        } else if first == '\'' {
            self.character_or_lifetime();
        } else {
            self.mark(first);
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// Takes one character and keeps count of the lines.
    fn take(&mut self) -> Option<char> {
        let taken = self.peek(0)?;
        self.at += 1;
        if taken == '\n' {
            self.line += 1;
        }
        Some(taken)
    }

    fn take_while(&mut self, into: &mut String, wanted: impl Fn(char) -> bool) {
        while let Some(next) = self.peek(0).filter(|next| wanted(*next)) {
            into.push(next);
            self.take();
        }
    }

    fn push(&mut self, kind: Kind, text: String, line: usize) {
        self.tokens.push(Token { kind, text, line, test: false });
    }

    fn line_comment(&mut self) {
        let line = self.line;
        let mut text = String::new();
        self.take_while(&mut text, |next| next != '\n');
        self.comments.push(Comment { text, line, test: false });
    }

    /// Block comments nest; each of their lines becomes one comment.
    fn block_comment(&mut self) {
        let start = self.line;
        let mut text = String::new();
        let mut depth = 0usize;
        while let Some(next) = self.peek(0) {
            let pair = (next, self.peek(1));
            if pair == ('/', Some('*')) || pair == ('*', Some('/')) {
                depth = if next == '/' { depth + 1 } else { depth - 1 };
                text.push(next);
                self.take();
            }
            text.extend(self.take());
            if depth == 0 {
                break;
            }
        }
        for (offset, part) in text.split('\n').enumerate() {
            let comment = Comment { text: part.to_owned(), line: start + offset, test: false };
            self.comments.push(comment);
        }
    }

    /// A number takes its point only where no field access stands before it: `pair.0.1`.
    fn number(&mut self) {
        let line = self.line;
        let field = self.tokens.last().is_some_and(|token| token.is_mark("."));
        let mut text = String::new();
        self.take_while(&mut text, is_name);
        let decimal = !matches!(text.get(..2), Some("0x" | "0b" | "0o"));
        let point = self.peek(0) == Some('.')
            && !self.peek(1).is_some_and(|next| next == '.' || is_name_start(next));
        if decimal && point && !field {
            text.extend(self.take());
            self.take_while(&mut text, is_name);
        }
        let exponent = decimal && text.ends_with(['e', 'E']);
        let signed = matches!(self.peek(0), Some('+' | '-'));
        if exponent && signed && self.peek(1).is_some_and(|next| next.is_ascii_digit()) {
            text.extend(self.take());
            self.take_while(&mut text, is_name);
        }
        self.push(Kind::Number, text, line);
    }

    /// A name, or the letters before a quote: `b"…"`, `r#"…"#`, `c"…"`, `b'…'`, `r#name`.
    fn word_or_prefixed(&mut self) {
        let line = self.line;
        let mut text = String::new();
        self.take_while(&mut text, is_name);
        let prefix = matches!(text.as_str(), "r" | "b" | "br" | "c" | "cr");
        let hashes = (0..).take_while(|ahead| self.peek(*ahead) == Some('#')).count();
        match self.peek(hashes) {
            Some('"') if prefix && text.ends_with('r') => self.raw(text, hashes),
            Some('"') if prefix && hashes == 0 => self.quoted('"', text),
            Some('\'') if text == "b" && hashes == 0 => self.quoted('\'', text),
            Some(next) if text == "r" && hashes == 1 && is_name_start(next) => {
                self.take();
                let mut name = String::new();
                self.take_while(&mut name, is_name);
                self.push(Kind::Word, name, line);
            }
            _ => self.push(Kind::Word, text, line),
        }
    }

    /// From the opening quote to the closing one; a backslash takes the next character along.
    fn quoted(&mut self, quote: char, mut text: String) {
        let line = self.line;
        text.extend(self.take());
        while let Some(next) = self.take() {
            text.push(next);
            if next == '\\' {
                text.extend(self.take());
            } else if next == quote {
                break;
            }
        }
        self.push(Kind::Literal, text, line);
    }

    /// A raw string ends at a quote with as many hashes as it began with.
    fn raw(&mut self, mut text: String, hashes: usize) {
        let line = self.line;
        for _ in 0..=hashes {
            text.extend(self.take());
        }
        while let Some(next) = self.take() {
            text.push(next);
            if next == '"' && (0..hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                self.at += hashes;
                break;
            }
        }
        self.push(Kind::Literal, text, line);
    }

    /// `'x'` and `'\n'` are characters, `'name` is a lifetime or a label.
    fn character_or_lifetime(&mut self) {
        if self.peek(1) == Some('\\') || self.peek(2) == Some('\'') {
            return self.quoted('\'', String::new());
        }
        let line = self.line;
        let mut text = String::new();
        text.extend(self.take());
        self.take_while(&mut text, is_name);
        self.push(Kind::Lifetime, text, line);
    }

    fn mark(&mut self, first: char) {
        let line = self.line;
        let mut text = String::new();
        text.extend(self.take());
        if first == ':' && self.peek(0) == Some(':') {
            text.extend(self.take());
        } else if first == '.' {
            self.take_while(&mut text, |next| next == '.');
        }
        self.push(Kind::Mark, text, line);
    }
}

fn is_name_start(letter: char) -> bool {
    letter == '_' || letter.is_alphabetic()
}

fn is_name(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}
