//! The description of the API as a page for people, at `/docs`: made of the OpenAPI document when it is first asked for,
//! without a script and without any other host. It is no part of the API itself.

use crate::assets::{self, Asset};
use axum::Router;
use axum::body::Bytes;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::openapi::OpenApi;

/// Where the page is.
pub(crate) const PATH: &str = "/docs";
/// Where its style is.
pub(crate) const STYLE_PATH: &str = "/docs/style.css";

/// What the page may do (Content Security Policy Level 3): load its own style, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TEMPLATE: &str = include_str!("docs/page.html");
const STYLE: &str = include_str!("docs/style.css");

/// How deep fields of fields are listed that have no schema of their own.
const DEEPEST: usize = 3;

/// The page and its style.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(document: Arc<OpenApi>) -> Router<S> {
    let asset = |content_type, content| Asset {
        content_type,
        content,
        policy: POLICY,
    };
    let page = assets::on_demand(PATH, move || {
        let document = serde_json::to_value(&*document).unwrap_or_default();
        let page = render(&document).unwrap_or_else(|error| {
            tracing::error!(%error, "the page about the API cannot be made");
            String::new()
        });
        asset("text/html; charset=utf-8", page.into())
    });
    let style = Bytes::from_static(STYLE.as_bytes());
    let style = asset("text/css; charset=utf-8", style);
    page.merge(assets::router([(STYLE_PATH.to_owned(), style)]))
}

/// A part of a text: plain, code, a link, or the gap between two paragraphs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Piece {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    href: Option<String>,
    code: bool,
    r#break: bool,
}

impl Piece {
    fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    fn link(text: &str, href: impl Into<String>) -> Self {
        Self {
            href: Some(href.into()),
            ..Self::plain(text)
        }
    }
}

/// A parameter, or a field of an object.
#[derive(Debug, Serialize)]
struct Field {
    name: String,
    required: bool,
    shape: Vec<Piece>,
    bounds: String,
    meaning: Vec<Piece>,
}

/// Content of one media type.
#[derive(Debug, Serialize)]
struct Content {
    media: String,
    shape: Vec<Piece>,
}

#[derive(Debug, Serialize)]
struct Answer {
    status: String,
    meaning: Vec<Piece>,
    bodies: Vec<Content>,
}

#[derive(Debug, Serialize)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    needs: Option<String>,
    meaning: Vec<Piece>,
    parameters: Vec<Field>,
    bodies: Vec<Content>,
    answers: Vec<Answer>,
}

#[derive(Debug, Serialize)]
struct Group {
    name: String,
    operations: Vec<Operation>,
}

#[derive(Debug, Serialize)]
struct Schema {
    name: String,
    meaning: Vec<Piece>,
    shape: Vec<Piece>,
    bounds: String,
    fields: Vec<Field>,
    variants: Vec<Variant>,
}

/// One of several forms of a schema.
#[derive(Debug, Serialize)]
struct Variant {
    shape: Vec<Piece>,
    meaning: Vec<Piece>,
    fields: Vec<Field>,
}

/// The page about a document.
fn render(document: &Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let info = &document["info"];
    environment.render_str(
        TEMPLATE,
        context! {
            title => text(&info["title"]),
            version => text(&info["version"]),
            about => serialized(&words(text(&info["description"]))),
            groups => serialized(&groups(document)),
            schemas => serialized(&schemas(document)),
        },
    )
}

fn serialized(value: &impl Serialize) -> minijinja::Value {
    Serde(value).into()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The operations, by their tag.
fn groups(document: &Value) -> Vec<Group> {
    let mut groups = BTreeMap::<String, Vec<Operation>>::new();
    for (path, item) in members(&document["paths"]) {
        for method in ["get", "post", "patch", "put", "delete"] {
            let Some(operation) = item.get(method) else {
                continue;
            };
            let group = groups.entry(text(&operation["tags"][0]).to_owned());
            let operation = described(document, (method, path), operation);
            group.or_default().push(operation);
        }
    }
    let groups = groups.into_iter();
    groups
        .map(|(name, operations)| Group { name, operations })
        .collect()
}

fn described(document: &Value, (method, path): (&str, &str), operation: &Value) -> Operation {
    let parameters = items(&operation["parameters"]).map(|parameter| Field {
        name: text(&parameter["name"]).to_owned(),
        required: parameter["required"] == true,
        shape: shape(&parameter["schema"]),
        bounds: bounds(&parameter["schema"]),
        meaning: words(text(&parameter["description"])),
    });
    let answers = members(&operation["responses"]).map(|(status, answer)| {
        let answer = resolved(document, answer);
        Answer {
            status: status.clone(),
            meaning: words(text(&answer["description"])),
            bodies: contents(&answer["content"]),
        }
    });
    let needs = operation["security"][0]["key"][0].as_str();
    Operation {
        id: text(&operation["operationId"]).to_owned(),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]).to_owned(),
        needs: needs.map(str::to_owned),
        meaning: words(text(&operation["description"])),
        parameters: parameters.collect(),
        bodies: contents(&operation["requestBody"]["content"]),
        answers: answers.collect(),
    }
}

/// What a reference leads to, or what is there itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    pointer
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(value)
}

fn contents(content: &Value) -> Vec<Content> {
    let contents = members(content).map(|(media, content)| Content {
        media: media.clone(),
        shape: shape(&content["schema"]),
    });
    contents.collect()
}

fn schemas(document: &Value) -> Vec<Schema> {
    let schemas = members(&document["components"]["schemas"]).map(|(name, schema)| Schema {
        name: name.clone(),
        meaning: words(text(&schema["description"])),
        shape: shape(schema),
        bounds: bounds(schema),
        fields: fields(schema),
        variants: variants(schema),
    });
    schemas.collect()
}

/// The forms of a schema that are objects without a schema of their own.
fn variants(schema: &Value) -> Vec<Variant> {
    let forms = items(&schema["oneOf"]).chain(items(&schema["anyOf"]));
    let own = forms.filter(|form| form.get("$ref").is_none() && form["type"] == "object");
    let variants = own.map(|form| {
        let tag = members(&form["properties"]).find_map(|(_, field)| field["enum"][0].as_str());
        Variant {
            shape: tag.map_or_else(|| shape(form), |tag| vec![code(tag)]),
            meaning: words(text(&form["description"])),
            fields: fields(form),
        }
    });
    variants.collect()
}

/// The fields of an object, with those of objects within that have no schema of their own.
fn fields(schema: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    let parts = items(&schema["allOf"]).filter(|part| part.get("$ref").is_none());
    for part in parts.chain([schema]) {
        add_fields(&mut found, "", part, 0);
    }
    found
}

fn add_fields(into: &mut Vec<Field>, prefix: &str, schema: &Value, depth: usize) {
    let required: Vec<&str> = items(&schema["required"]).map(text).collect();
    for (name, field) in members(&schema["properties"]) {
        into.push(Field {
            name: format!("{prefix}{name}"),
            required: required.contains(&name.as_str()),
            shape: shape(field),
            bounds: bounds(field),
            meaning: words(meaning(field)),
        });
        if depth < DEEPEST && field["properties"].is_object() {
            add_fields(into, &format!("{prefix}{name}."), field, depth + 1);
        }
    }
}

/// What a field means: where it may be null, the form that it else has says so.
fn meaning(field: &Value) -> &str {
    let own = field["description"].as_str();
    let of_form = || items(&field["oneOf"]).find_map(|form| form["description"].as_str());
    own.or_else(of_form).unwrap_or_default()
}

fn code(text: &str) -> Piece {
    Piece {
        code: true,
        ..Piece::plain(text)
    }
}

/// What kind of value a schema is of, with links to those that have a name.
fn shape(schema: &Value) -> Vec<Piece> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return vec![Piece::link(name, format!("#{name}"))];
    }
    for (key, between) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " with ")] {
        if schema[key].is_array() {
            let forms: Vec<_> = items(&schema[key]).map(shape).collect();
            return forms.join(&Piece::plain(between));
        }
    }
    let named = match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => "any value".to_owned(),
    };
    if schema["items"].is_object() {
        return [
            vec![Piece::plain(format!("{named} of "))],
            shape(&schema["items"]),
        ]
        .concat();
    }
    let values = &schema["additionalProperties"];
    if values.as_object().is_some_and(|values| !values.is_empty()) {
        return [vec![Piece::plain(format!("{named} of "))], shape(values)].concat();
    }
    vec![Piece::plain(named)]
}

/// What a value must keep to, in words.
fn bounds(schema: &Value) -> String {
    const NAMES: &[(&str, &str)] = &[
        ("format", ""),
        ("minimum", "at least "),
        ("exclusiveMinimum", "more than "),
        ("maximum", "at most "),
        ("exclusiveMaximum", "less than "),
        ("minLength", "characters at least "),
        ("maxLength", "characters at most "),
        ("minItems", "items at least "),
        ("maxItems", "items at most "),
        ("pattern", "as "),
        ("default", "by default "),
        ("example", "such as "),
    ];
    let one_of = items(&schema["enum"]).map(plain).collect::<Vec<_>>();
    let one_of = (!one_of.is_empty()).then(|| one_of.join(" | "));
    let others = NAMES.iter().filter_map(|(name, words)| {
        let value = schema.get(*name)?;
        Some(format!("{words}{}", plain(value)))
    });
    one_of
        .into_iter()
        .chain(others)
        .collect::<Vec<_>>()
        .join("; ")
}

/// A value as people write it.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A description with its paragraphs, code in backticks and links.
fn words(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (number, paragraph) in text.split("\n\n").enumerate() {
        if number > 0 {
            pieces.push(Piece {
                r#break: true,
                ..Piece::default()
            });
        }
        for (number, part) in paragraph.split('`').enumerate() {
            match number % 2 {
                1 => pieces.push(code(part)),
                _ => add_links(&mut pieces, part),
            }
        }
    }
    pieces.retain(|piece| piece.r#break || !piece.text.is_empty());
    pieces
}

/// A text without code: plain, and links of the form `[text](address)`.
fn add_links(into: &mut Vec<Piece>, mut text: &str) {
    let link = |text: &str| {
        let start = text.find('[')?;
        let middle = start + text[start..].find("](")?;
        let end = middle + text[middle..].find(')')?;
        Some((start, middle, end))
    };
    while let Some((start, middle, end)) = link(text) {
        into.push(Piece::plain(&text[..start]));
        let href = &text[middle + 2..end];
        // Nothing else than a page is led to.
        match href.starts_with("https://") {
            true => into.push(Piece::link(&text[start + 1..middle], href)),
            false => into.push(Piece::plain(&text[start..=end])),
        }
        text = &text[end + 1..];
    }
    into.push(Piece::plain(text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn page() -> (Value, String) {
        let document = serde_json::to_value(crate::openapi()).unwrap();
        let page = render(&document).unwrap();
        (document, page)
    }

    #[test]
    fn every_operation_and_schema_has_its_place_and_every_link_leads_to_one() {
        let (document, page) = page();
        let places: BTreeSet<&str> = page
            .split("id=\"")
            .skip(1)
            .map(|it| it.split('"').next().unwrap())
            .collect();
        for (path, item) in members(&document["paths"]) {
            for (_, operation) in members(item) {
                let id = text(&operation["operationId"]);
                assert!(places.contains(id), "{path}: {id}");
            }
        }
        for (name, _) in members(&document["components"]["schemas"]) {
            assert!(places.contains(name.as_str()), "{name}");
        }
        let links = page
            .split("href=\"#")
            .skip(1)
            .map(|it| it.split('"').next().unwrap());
        for link in links {
            assert!(places.contains(link), "#{link} leads nowhere");
        }
    }

    #[test]
    fn it_loads_nothing_from_elsewhere_and_runs_nothing() {
        let (_, page) = page();
        assert!(!page.contains("<script") && !page.contains(" style=") && !page.contains("src="));
        let loaded: Vec<_> = page.match_indices("<link ").collect();
        assert_eq!(loaded.len(), 1);
        assert!(page.contains("<link rel=\"stylesheet\" href=\"/docs/style.css\">"));
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }

    #[test]
    fn descriptions_become_text_code_and_links_and_nothing_else() {
        let pieces = words("a `b` [c](https://d.example) [e](javascript:f) <g>\n\nh");
        let told: Vec<_> = pieces
            .iter()
            .map(|piece| (piece.text.as_str(), piece.code, piece.href.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("a ", false, None),
                ("b", true, None),
                (" ", false, None),
                ("c", false, Some("https://d.example")),
                (" ", false, None),
                ("[e](javascript:f)", false, None),
                (" <g>", false, None),
                ("", false, None),
                ("h", false, None),
            ]
        );
    }
}
