//! Rewrites a chat template so that everything it does is paid for.
//!
//! Fuel counts instructions, but one instruction can double a text or sort a long list, so a short
//! program without a loop could take all memory. Each operand is therefore led through a filter of
//! [`crate::toll`] that charges for its size before it is used; what needs more than size to be
//! bounded (repeating, padding, formatting) is not offered. The rewritten template writes the same
//! text. Chains are measured before they are parsed: the parser's trees are as deep as chains are
//! long, and the machine's stack is not.

use minijinja::machinery::ast::{
    BinOp, BinOpKind, Call, CallArg, CallType, CompareOpKind, Const, Expr, Filter, ForLoop, IfCond,
    Macro, Stmt, UnaryOpKind,
};
use minijinja::machinery::{Span, Token, WhitespaceConfig, parse, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Longest tag, in tokens; the longest in use has a few hundred.
const TAG_TOKENS_MAX: usize = 1024;
/// Most `elif` in a template: each is one level of the tree.
const BRANCHES_MAX: usize = 256;
/// A literal up to this length is not charged: fuel bounds how often it is used.
const FREE_BYTES: usize = 64;
/// Operands of one chain that cost no more than themselves.
const FREE_OPERANDS: usize = 8;

/// Filters whose work and result are bounded by the size of what goes in, or by themselves.
const FILTERS: &[&str] = &[
    "abs",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
];
/// Filters that hand on the items of a list and do not look into them.
const SHALLOW: &[&str] = &[
    "count",
    "d",
    "default",
    "first",
    "items",
    "last",
    "length",
    "list",
    "map",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
];
/// Filters that use their arguments once for every item.
const PER_ITEM: &[&str] = &["map", "reject", "rejectattr", "select", "selectattr"];
/// Filters that `map` may apply: none of them makes much out of little.
const MAPPED: &[&str] =
    &["capitalize", "int", "length", "lower", "string", "title", "trim", "upper"];

type Written = Result<String, String>;

/// How the parser treats the space around tags: as the tokenizers that models were trained with.
const WHITESPACE: WhitespaceConfig =
    WhitespaceConfig { keep_trailing_newline: false, lstrip_blocks: true, trim_blocks: true };

/// The same template with a toll on each operand.
pub fn tolled(source: &str) -> Written {
    measure(source)?;
    let syntax = SyntaxConfig;
    let tree = parse(source, "chat", syntax, WHITESPACE).map_err(|error| error.to_string())?;
    let Stmt::Template(template) = &tree else { return Err("it is no template".into()) };
    let mut writer = Writer { out: String::with_capacity(source.len() * 2), line: 1 };
    writer.block(&template.children)?;
    Ok(writer.out)
}

/// Refuses tags that would make a tree deeper than the stack.
fn measure(source: &str) -> Result<(), String> {
    let (mut length, mut branches) = (0, 0);
    for token in tokenize(source, false, SyntaxConfig, WHITESPACE) {
        match token.map_err(|error| error.to_string())?.0 {
            Token::VariableStart | Token::BlockStart => length = 0,
            Token::Ident("elif") => branches += 1,
            _ => length += 1,
        }
        if length > TAG_TOKENS_MAX {
            return Err(format!("a tag has more than {TAG_TOKENS_MAX} tokens"));
        }
        if branches > BRANCHES_MAX {
            return Err(format!("it has more than {BRANCHES_MAX} elif"));
        }
    }
    Ok(())
}

struct Writer {
    out: String,
    /// The line that the next tag begins on, so that errors name the author's lines.
    line: u16,
}

impl Writer {
    fn tag(&mut self, span: Span, open: &str, text: &str, close: &str) {
        self.out.push_str(open);
        while self.line < span.start_line {
            self.out.push('\n');
            self.line += 1;
        }
        self.out.push_str(text);
        self.out.push_str(close);
    }

    fn statement(&mut self, span: Span, text: &str) {
        self.tag(span, "{% ", text, " %}");
    }

    fn block(&mut self, body: &[Stmt<'_>]) -> Result<(), String> {
        body.iter().try_for_each(|statement| self.one(statement))
    }

    fn one(&mut self, statement: &Stmt<'_>) -> Result<(), String> {
        match statement {
            Stmt::EmitRaw(raw) => {
                self.tag(raw.span(), "{{ ", &literal(raw.raw)?, " }}");
                Ok(())
            }
            Stmt::EmitExpr(emit) => {
                self.tag(emit.span(), "{{ ", &paid(&emit.expr)?, " }}");
                Ok(())
            }
            Stmt::Set(set) => {
                let value = match set.target {
                    Expr::GetAttr(_) => paid(&set.expr)?,
                    _ => written(&set.expr)?,
                };
                self.statement(set.span(), &format!("set {} = {value}", target(&set.target)?));
                Ok(())
            }
            Stmt::SetBlock(set) if set.filter.is_none() => {
                self.statement(set.span(), &format!("set {}", target(&set.target)?));
                self.block(&set.body)?;
                self.statement(set.span(), "endset");
                Ok(())
            }
            Stmt::ForLoop(each) => self.each(each, each.span()),
            Stmt::IfCond(condition) => self.condition(condition, condition.span()),
            Stmt::Macro(named) => self.named(named, named.span()),
            _ => Err("it uses a statement that chat templates are not offered; \
                      these are set, for, if and macro"
                .into()),
        }
    }

    fn each(&mut self, each: &ForLoop<'_>, span: Span) -> Result<(), String> {
        let (item, items) = (target(&each.target)?, walked(&each.iter)?);
        let only = match &each.filter_expr {
            Some(filter) => format!(" if {}", operand(filter)?),
            None => String::new(),
        };
        let again = if each.recursive { " recursive" } else { "" };
        self.statement(span, &format!("for {item} in {items}{only}{again}"));
        self.block(&each.body)?;
        if !each.else_body.is_empty() {
            self.statement(span, "else");
            self.block(&each.else_body)?;
        }
        self.statement(span, "endfor");
        Ok(())
    }

    /// An `if` in an `else` is an `elif`: branches do not deepen what is parsed again.
    fn condition(&mut self, condition: &IfCond<'_>, span: Span) -> Result<(), String> {
        self.statement(span, &format!("if {}", operand(&condition.expr)?));
        self.block(&condition.true_body)?;
        let mut rest = condition.false_body.as_slice();
        while let [Stmt::IfCond(next)] = rest {
            self.statement(next.span(), &format!("elif {}", operand(&next.expr)?));
            self.block(&next.true_body)?;
            rest = next.false_body.as_slice();
        }
        if !rest.is_empty() {
            self.statement(span, "else");
            self.block(rest)?;
        }
        self.statement(span, "endif");
        Ok(())
    }

    fn named(&mut self, named: &Macro<'_>, span: Span) -> Result<(), String> {
        let plain = named.args.len().saturating_sub(named.defaults.len());
        let mut arguments = Vec::new();
        for (at, argument) in named.args.iter().enumerate() {
            let name = target(argument)?;
            let default = at.checked_sub(plain).and_then(|at| named.defaults.get(at));
            arguments.push(match default {
                Some(default) => format!("{name}={}", paid(default)?),
                None => name,
            });
        }
        self.statement(span, &format!("macro {}({})", named.name, arguments.join(", ")));
        self.block(&named.body)?;
        self.statement(span, "endmacro");
        Ok(())
    }
}

/// What a value is assigned to.
fn target(expression: &Expr<'_>) -> Written {
    match expression {
        Expr::Var(variable) => Ok(variable.id.to_owned()),
        Expr::GetAttr(attribute) => Ok(format!("{}.{}", target(&attribute.expr)?, attribute.name)),
        Expr::List(list) => {
            let names: Result<Vec<_>, _> = list.items.iter().map(target).collect();
            Ok(format!("({},)", names?.join(", ")))
        }
        _ => Err("it assigns to what is no name".into()),
    }
}

/// A text as a literal, charged when it is long.
fn literal(text: &str) -> Written {
    let quoted = serde_json::to_string(text).map_err(|error| error.to_string())?;
    Ok(if text.len() > FREE_BYTES { format!("{quoted}|pay") } else { quoted })
}

fn constant(value: &Const) -> Written {
    match value.value.as_str() {
        Some(text) => literal(text),
        None => Ok(value.value.to_string()),
    }
}

/// An operand that is charged whole, with all that is in it.
fn paid(expression: &Expr<'_>) -> Written {
    match expression {
        Expr::Const(value) => constant(value),
        other => Ok(format!("{}|pay", operand(other)?)),
    }
}

/// An operand that is charged by its length; its items are not looked at.
fn walked(expression: &Expr<'_>) -> Written {
    Ok(format!("{}|walk", operand(expression)?))
}

/// An expression that binds as tightly as a name.
fn operand(expression: &Expr<'_>) -> Written {
    let text = written(expression)?;
    Ok(match expression {
        Expr::UnaryOp(_) | Expr::BinOp(_) | Expr::Compare(_) | Expr::IfExpr(_) | Expr::Test(_) => {
            format!("({text})")
        }
        _ => text,
    })
}

/// An expression that a dot can follow: the name of a filter would take the dot for its own.
fn base(expression: &Expr<'_>) -> Written {
    let text = operand(expression)?;
    let bare = matches!(expression, Expr::Filter(_) | Expr::Const(_));
    Ok(if bare { format!("({text})") } else { text })
}

fn written(expression: &Expr<'_>) -> Written {
    match expression {
        Expr::Var(variable) => Ok(variable.id.to_owned()),
        Expr::Const(value) => constant(value),
        Expr::GetAttr(attribute) => Ok(format!("{}.{}", base(&attribute.expr)?, attribute.name)),
        Expr::GetItem(item) => {
            let (base, at) = (operand(&item.expr)?, paid(&item.subscript_expr)?);
            Ok(format!("({base}|glance)[{at}]"))
        }
        Expr::Slice(slice) => {
            let part = |part: &Option<Expr<'_>>| part.as_ref().map_or(Ok(String::new()), operand);
            let (start, stop, step) = (part(&slice.start)?, part(&slice.stop)?, part(&slice.step)?);
            let step = if step.is_empty() { step } else { format!(":{step}") };
            Ok(format!("({})[{start}:{stop}{step}]", walked(&slice.expr)?))
        }
        Expr::UnaryOp(unary) => Ok(match unary.op {
            UnaryOpKind::Not => format!("not {}", operand(&unary.expr)?),
            UnaryOpKind::Neg => format!("-({})", operand(&unary.expr)?),
        }),
        Expr::BinOp(binary) => operation(binary),
        Expr::Compare(compare) => {
            let mut text = paid(&compare.expr)?;
            for next in &compare.ops {
                text = format!("{text} {} {}", comparison(next.op), paid(&next.expr)?);
            }
            Ok(text)
        }
        Expr::IfExpr(choice) => {
            let (yes, test) = (operand(&choice.true_expr)?, operand(&choice.test_expr)?);
            Ok(match &choice.false_expr {
                Some(no) => format!("{yes} if {test} else {}", operand(no)?),
                None => format!("{yes} if {test}"),
            })
        }
        Expr::Filter(filter) => filtered(filter),
        Expr::Test(test) if test.args.is_empty() => {
            Ok(format!("{} is {}", operand(&test.expr)?, test.name))
        }
        Expr::Test(test) => {
            let arguments = arguments(&test.args, "pay")?;
            Ok(format!("{} is {}({arguments})", paid(&test.expr)?, test.name))
        }
        Expr::Call(call) => called(call),
        Expr::List(list) => {
            let items: Result<Vec<_>, _> = list.items.iter().map(paid).collect();
            Ok(format!("[{}]", items?.join(", ")))
        }
        Expr::Map(map) => {
            let pair = |(key, value)| Ok(format!("{}: {}", paid(key)?, paid(value)?));
            let pairs: Result<Vec<_>, String> =
                map.keys.iter().zip(&map.values).map(pair).collect();
            Ok(format!("{{{}}}", pairs?.join(", ")))
        }
    }
}

fn comparison(kind: CompareOpKind) -> &'static str {
    match kind {
        CompareOpKind::Eq => "==",
        CompareOpKind::Ne => "!=",
        CompareOpKind::Lt => "<",
        CompareOpKind::Lte => "<=",
        CompareOpKind::Gt => ">",
        CompareOpKind::Gte => ">=",
        CompareOpKind::In => "in",
        CompareOpKind::NotIn => "not in",
    }
}

/// The sign of an operation, and the toll on its operands.
fn sign(kind: BinOpKind) -> (&'static str, &'static str) {
    match kind {
        BinOpKind::Eq => ("==", "pay"),
        BinOpKind::Ne => ("!=", "pay"),
        BinOpKind::Lt => ("<", "pay"),
        BinOpKind::Lte => ("<=", "pay"),
        BinOpKind::Gt => (">", "pay"),
        BinOpKind::Gte => (">=", "pay"),
        BinOpKind::In => ("in", "pay"),
        BinOpKind::Concat => ("~", "pay"),
        BinOpKind::Add => ("+", "walk"),
        BinOpKind::Sub => ("-", "number"),
        BinOpKind::Mul => ("*", "number"),
        BinOpKind::Div => ("/", "number"),
        BinOpKind::FloorDiv => ("//", "number"),
        BinOpKind::Rem => ("%", "number"),
        BinOpKind::Pow => ("**", "number"),
        BinOpKind::ScAnd => ("and", ""),
        BinOpKind::ScOr => ("or", ""),
    }
}

/// A chain of one operation stays flat, or its parentheses would nest as deep as it is long. Each
/// of its operands is copied once for all that follow, which the toll takes into account.
fn operation(binary: &BinOp<'_>) -> Written {
    let (sign, toll) = sign(binary.op);
    let mut operands = vec![&binary.right];
    let mut left = &binary.left;
    while let Expr::BinOp(inner) = left {
        if !matches!(sign, "~" | "+" | "and" | "or") || self::sign(inner.op).0 != sign {
            break;
        }
        operands.push(&inner.right);
        left = &inner.left;
    }
    operands.push(left);
    operands.reverse();
    let times = 1 + operands.len() / FREE_OPERANDS;
    let texts: Result<Vec<_>, String> = operands
        .iter()
        .map(|expression| match (toll, expression) {
            ("", other) => operand(other),
            ("pay" | "walk", Expr::Const(value)) if times == 1 => constant(value),
            ("number", other) => Ok(format!("{}|number", operand(other)?)),
            (toll, other) => Ok(format!("{}|{toll}({times})", operand(other)?)),
        })
        .collect();
    Ok(texts?.join(&format!(" {sign} ")))
}

fn filtered(filter: &Filter<'_>) -> Written {
    let name = filter.name;
    if !FILTERS.contains(&name) {
        return Err(format!("the filter {name:?} is not offered to chat templates"));
    }
    if name == "map" && !maps(&filter.args) {
        return Err(format!("map takes an attribute, or one of {}", MAPPED.join(", ")));
    }
    let Some(base) = &filter.expr else { return Err("it filters a block".into()) };
    let base = if SHALLOW.contains(&name) { walked(base)? } else { paid(base)? };
    let toll = if PER_ITEM.contains(&name) { "small" } else { "pay" };
    Ok(match filter.args.is_empty() {
        true => format!("{base}|{name}"),
        false => format!("{base}|{name}({})", arguments(&filter.args, toll)?),
    })
}

/// Whether `map` picks attributes, or applies a filter that is harmless for every item.
fn maps(arguments: &[CallArg<'_>]) -> bool {
    match arguments {
        [CallArg::Pos(Expr::Const(name))] => {
            name.value.as_str().is_some_and(|name| MAPPED.contains(&name))
        }
        named => named.iter().all(|argument| matches!(argument, CallArg::Kwarg(..))),
    }
}

fn called(call: &Call<'_>) -> Written {
    let arguments = arguments(&call.args, "pay")?;
    match call.identify_call() {
        CallType::Function(name) => Ok(format!("{name}({arguments})")),
        CallType::Method(of, name) => Ok(format!("({}).{name}({arguments})", walked(of)?)),
        _ => Err("it calls what is neither a function nor a method".into()),
    }
}

fn arguments(arguments: &[CallArg<'_>], toll: &str) -> Written {
    let charged = |expression: &Expr<'_>| match expression {
        Expr::Const(value) => constant(value),
        other => Ok(format!("{}|{toll}", operand(other)?)),
    };
    let one = |argument: &CallArg<'_>| match argument {
        CallArg::Pos(expression) => charged(expression),
        CallArg::Kwarg(name, expression) => Ok(format!("{name}={}", charged(expression)?)),
        _ => Err("it spreads a list over arguments".into()),
    };
    let texts: Result<Vec<_>, _> = arguments.iter().map(one).collect();
    Ok(texts?.join(", "))
}
