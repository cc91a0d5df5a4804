//! What every document passes before it is parsed, validated or executed, whichever way it came in.
//!
//! The parser recurses on nested values and the validator follows every spread, so a few kilobytes can overflow the
//! stack or take the machine for minutes. Two looks prevent both: one at the text, which only counts, and one at the
//! parsed document, which counts what its fragments expand to.

use std::collections::HashMap;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Pos, Positioned};

/// What a document may be. Each limit leaves room for GraphiQL's introspection query, which is the largest that honest
/// clients send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the text. Default 64 KB: ten times a long page's query.
    pub document_bytes: usize,
    /// Tokens of the text. Default 8,000: they are what parsing takes its time for.
    pub tokens: usize,
    /// How deep brackets may nest. Default 48: the parser goes as deep on the stack, and introspection takes some 13.
    pub bracket_depth: usize,
    /// Directives. Default 64: unknown ones are each answered with an error.
    pub directives: usize,
    /// Fields after every fragment is written out. Default 2,000: they are what execution takes its time for.
    pub fields: u64,
    /// How deep fields may nest after every fragment is written out. Default 24: introspection takes 18.
    pub depth: u64,
    /// Fields at the root after every fragment is written out. Default 16: each is an operation of its own, as dear as a
    /// sign-in.
    pub root_fields: u64,
    /// Fields under a name of the client's own, after every fragment is written out. Default 64: a page that shows
    /// several figures of one field asks for some ten.
    pub aliases: u64,
    /// What an operation may cost: one for each field, times as many as the lists above it may give. Default 10,000: a
    /// page of 100 with everything in it costs some 5,000.
    pub cost: u64,
    /// Bytes of a request's body, or of a message on a socket. Default 256 KB: a query with its variables takes a few.
    pub body_bytes: usize,
    /// Bytes of the texts of documents that are kept, parsed and found valid, for the next request. Default 1 MB: some
    /// thousand of ordinary ones, which take ten times as much once parsed.
    pub kept_document_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 64 * 1024,
            tokens: 8_000,
            bracket_depth: 48,
            directives: 64,
            fields: 2_000,
            depth: 24,
            root_fields: 16,
            aliases: 64,
            cost: 10_000,
            body_bytes: 256 * 1024,
            kept_document_bytes: 1024 * 1024,
        }
    }
}

/// Which limit a document passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document has more {what} than {limit}")]
pub struct TooComplex {
    /// What there is too much of.
    pub what: &'static str,
    /// How much there may be.
    pub limit: u64,
}

const fn too_complex(what: &'static str, limit: usize) -> TooComplex {
    TooComplex { what, limit: limit as u64 }
}

/// Looks at the text of a document: its size, tokens, directives and nesting. Takes one pass and no memory.
///
/// # Errors
/// [`TooComplex`] with the first limit that is passed.
pub fn check_document(text: &str, limits: &Limits) -> Result<(), TooComplex> {
    if text.len() > limits.document_bytes {
        return Err(too_complex("bytes", limits.document_bytes));
    }
    let bytes = text.as_bytes();
    let (mut tokens, mut directives, mut depth) = (0, 0, 0_usize);
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        place = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                place += 1;
                continue;
            }
            b'#' => {
                place += skip_comment(&bytes[place..]);
                continue;
            }
            // The grammar takes an unclosed block string for an empty string and goes on inside it: what stood there
            // would be parsed and was not counted. No document needs one.
            b'"' => place + skip_string(&bytes[place..]).ok_or(too_complex("block strings that do not end", 0))?,
            b'{' | b'[' | b'(' => {
                depth += 1;
                if depth > limits.bracket_depth {
                    return Err(too_complex("nested brackets", limits.bracket_depth));
                }
                place + 1
            }
            b'}' | b']' | b')' => {
                depth = depth.saturating_sub(1);
                place + 1
            }
            b'@' => {
                directives += 1;
                if directives > limits.directives {
                    return Err(too_complex("directives", limits.directives));
                }
                place + 1
            }
            byte if is_name(*byte) => place + bytes[place..].iter().take_while(|byte| is_name(**byte)).count(),
            _ => place + 1,
        };
        tokens += 1;
        if tokens > limits.tokens {
            return Err(too_complex("tokens", limits.tokens));
        }
    }
    Ok(())
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn skip_comment(rest: &[u8]) -> usize {
    rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len())
}

/// The length of the string that starts here; absent for a block string that does not end.
fn skip_string(rest: &[u8]) -> Option<usize> {
    if rest.starts_with(b"\"\"\"") {
        let mut place = 3;
        while place < rest.len() {
            if rest[place..].starts_with(b"\\\"\"\"") {
                place += 4;
            } else if rest[place..].starts_with(b"\"\"\"") {
                return Some(place + 3);
            } else {
                place += 1;
            }
        }
        return None;
    }
    let mut place = 1;
    while place < rest.len() {
        match rest[place] {
            b'\\' => place += 2,
            b'"' => return Some(place + 1),
            // A string ends with its line; what follows is read as the parser would, and counted.
            b'\n' | b'\r' => return Some(place),
            _ => place += 1,
        }
    }
    Some(rest.len())
}

/// Parses a document whose text has passed [`check_document`]; where it is not GraphQL, says near which line and column.
///
/// # Errors
/// The place of the fault, where the parser knows one.
pub fn parse_document(text: &str) -> Result<ExecutableDocument, Option<Pos>> {
    // The parser's own message would repeat the document.
    parse_query(text).map_err(|error| error.positions().next())
}

/// Looks at a parsed document: what its operations come to when every fragment is written out.
///
/// # Errors
/// [`TooComplex`] with the first limit that is passed.
pub(crate) fn check_expansion(document: &ExecutableDocument, limits: &Limits) -> Result<(), TooComplex> {
    let mut costs = Costs { document, known: HashMap::new() };
    for (_, operation) in document.operations.iter() {
        let cost = costs.of_selections(&operation.node.selection_set.node, 0)?;
        for (what, value, limit) in [
            ("fields at the root", cost.direct_fields, limits.root_fields),
            ("fields", cost.fields, limits.fields),
            ("nested fields", cost.depth, limits.depth),
            ("aliases", cost.aliases, limits.aliases),
        ] {
            if value > limit {
                return Err(TooComplex { what, limit });
            }
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// Fields of this selection set itself.
    direct_fields: u64,
    /// All fields below.
    fields: u64,
    depth: u64,
    aliases: u64,
}

impl Cost {
    /// The same behind a fragment: one that holds no field is walked through all the same.
    fn spread(self) -> Self {
        Self { fields: self.fields.saturating_add(1), ..self }
    }

    fn beside(self, other: Self) -> Self {
        Self {
            direct_fields: self.direct_fields.saturating_add(other.direct_fields),
            fields: self.fields.saturating_add(other.fields),
            depth: self.depth.max(other.depth),
            aliases: self.aliases.saturating_add(other.aliases),
        }
    }
}

/// The fields at the root of an operation once every fragment is written out, each as often as it is selected.
pub(crate) fn root_fields<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet) -> Vec<&'a Field> {
    let mut fields = Vec::new();
    let mut sets = vec![set];
    // `check_expansion` has bounded what this can come to.
    while let Some(set) = sets.pop() {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => fields.push(&field.node),
                Selection::InlineFragment(inline) => sets.push(&inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let fragment = document.fragments.get(&spread.node.fragment_name.node);
                    sets.extend(fragment.map(|fragment| &fragment.node.selection_set.node));
                }
            }
        }
    }
    fields
}

/// How deep fragments may spread one another. The look at the text has bounded everything else that recurses here.
const MAX_SPREADS: usize = 64;

/// Each fragment is counted once, however often it is spread: that is what makes counting cheap where expanding is not.
struct Costs<'a> {
    document: &'a ExecutableDocument,
    known: HashMap<&'a str, Cost>,
}

impl<'a> Costs<'a> {
    fn of_selections(&mut self, set: &'a SelectionSet, spreads: usize) -> Result<Cost, TooComplex> {
        let mut sum = Cost::default();
        for selection in &set.items {
            let cost = match &selection.node {
                Selection::Field(field) => self.of_field(field, spreads)?,
                Selection::InlineFragment(inline) => {
                    self.of_selections(&inline.node.selection_set.node, spreads)?.spread()
                }
                Selection::FragmentSpread(spread) => {
                    self.of_fragment(&spread.node.fragment_name.node, spreads)?.spread()
                }
            };
            sum = sum.beside(cost);
        }
        Ok(sum)
    }

    fn of_field(&mut self, field: &'a Positioned<Field>, spreads: usize) -> Result<Cost, TooComplex> {
        let below = self.of_selections(&field.node.selection_set.node, spreads)?;
        let aliases = below.aliases.saturating_add(field.node.alias.is_some().into());
        Ok(Cost { direct_fields: 1, fields: below.fields.saturating_add(1), depth: below.depth + 1, aliases })
    }

    fn of_fragment(&mut self, name: &'a str, spreads: usize) -> Result<Cost, TooComplex> {
        if let Some(cost) = self.known.get(name) {
            return Ok(*cost);
        }
        // A circle of fragments ends here too; validation would say so in other words.
        if spreads >= MAX_SPREADS {
            return Err(too_complex("fragments that spread one another", MAX_SPREADS));
        }
        // Validation names a fragment that is not there.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Cost::default()) };
        let cost = self.of_selections(&fragment.node.selection_set.node, spreads + 1)?;
        self.known.insert(name, cost);
        Ok(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(document: &str) -> Result<(), TooComplex> {
        check_document(document, &Limits::default())
    }

    fn expansion(document: &str) -> Result<(), TooComplex> {
        check_expansion(&parse_query(document).unwrap(), &Limits::default())
    }

    fn what(refused: Result<(), TooComplex>) -> &'static str {
        refused.unwrap_err().what
    }

    #[test]
    fn an_ordinary_document_passes() {
        let document = "query Q($a: Int = 1) { me { id ...F } } fragment F on Account { tier usage { from } }";
        assert_eq!(text(document), Ok(()));
        assert_eq!(expansion(document), Ok(()));
    }

    #[test]
    fn nesting_is_counted_in_every_bracket_and_in_no_string_or_comment() {
        for (open, close) in [("[", "]"), ("{a:", "}"), ("(", ")")] {
            let nested = format!("{{ f(a: {}1{}) }}", open.repeat(60), close.repeat(60));
            assert_eq!(what(text(&nested)), "nested brackets");
        }
        let brackets = "[".repeat(100);
        assert_eq!(text(&format!("{{ f(a: \"{brackets}\") }}")), Ok(()));
        assert_eq!(text(&format!("{{ f(a: \"\"\"{brackets}\\\"\"\"{brackets}\"\"\") }}")), Ok(()));
        assert_eq!(text(&format!("# {brackets}\n{{ me {{ id }} }}")), Ok(()));
        // A block string that does not end hides nothing.
        assert_eq!(what(text(&format!("{{ f(a: [\"\"\"\" {brackets}"))), "block strings that do not end");
        // A string that its line ends does not hide what follows.
        assert_eq!(what(text(&format!("{{ f(a: \"x\n{brackets}"))), "nested brackets");
        assert_eq!(what(text(&format!("{{ f(a: \"\\\"\" b: {brackets}"))), "nested brackets");
    }

    #[test]
    fn size_tokens_and_directives_are_limited() {
        assert_eq!(what(text(&" ".repeat(70_000))), "bytes");
        assert_eq!(what(text(&"a ".repeat(9_000))), "tokens");
        assert_eq!(what(text(&format!("{{ me {} {{ id }} }}", "@a ".repeat(65)))), "directives");
    }

    #[test]
    fn fragments_that_double_are_counted_and_not_expanded() {
        let mut document = "{ me { ...F0 } }".to_owned();
        for step in 0..40 {
            let next = step + 1;
            document += &format!(" fragment F{step} on Account {{ ...F{next} ...F{next} }}");
        }
        let ends_in_a_field = format!("{document} fragment F40 on Account {{ id }}");
        assert_eq!(what(expansion(&ends_in_a_field)), "fields");
        let ends_in_nothing = format!("{document} fragment F40 on Account {{ ...Missing }}");
        assert_eq!(what(expansion(&ends_in_nothing)), "fields");
    }

    #[test]
    fn a_circle_of_fragments_ends() {
        let document = "{ me { ...A } } fragment A on Account { ...B } fragment B on Account { ...A }";
        assert_eq!(what(expansion(document)), "fragments that spread one another");
    }

    #[test]
    fn aliases_at_the_root_are_counted_through_fragments() {
        let many: String = (0..17).map(|n| format!("a{n}: tiers {{ tier }} ")).collect();
        assert_eq!(what(expansion(&format!("{{ {many} }}"))), "fields at the root");
        assert_eq!(what(expansion(&format!("{{ ...F }} fragment F on Query {{ {many} }}"))), "fields at the root");
        let few: String = (0..65).map(|n| format!("a{n}: id ")).collect();
        assert_eq!(what(expansion(&format!("{{ me {{ {few} }} }}"))), "aliases");
        let half: String = (0..32).map(|n| format!("a{n}: id ")).collect();
        let twice = format!("{{ me {{ ...F friend {{ ...F }} }} }} fragment F on Account {{ {half} }}");
        assert_eq!(expansion(&twice), Ok(()));
        let thrice = twice.replace("friend {", "enemy { ...F } friend {");
        assert_eq!(what(expansion(&thrice)), "aliases");
        let deep = format!("{{ {}id{} }}", "a { ".repeat(30), " }".repeat(30));
        assert_eq!(what(expansion(&deep)), "nested fields");
    }
}
