//! How a job's answers are scored: the scorer, held against the rows, and the reducer.

use crate::models;
use crate::rows::Rows;
use crate::template;
use frugal_domain::endpoint::Catalog;
use frugal_domain::fault::{ObjectReader, Reader};
use frugal_domain::job::{Instance, JudgeSpec};
use frugal_domain::metric::{CorpusMetric, Metric};
use frugal_domain::program::Availability;
use frugal_domain::scoring::{Reducer, ScorerSpec};
use frugal_scoring::{Judge, Outside, Scorer};
use serde_json::Value;

/// A scorer and the reducer over an instance's responses.
#[derive(Debug)]
pub(crate) struct Scoring {
    pub scorer: ScorerSpec,
    /// The models that are asked how good answers are, in the order of the parts, and whether their prices
    /// are known.
    pub judges: Vec<(JudgeSpec, bool)>,
    /// The scorer that chooses which of an instance's responses is given, if one does.
    pub selector: Option<ScorerSpec>,
    pub reduce: Reducer,
}

/// A scorer that was checked, with the models that it asks.
type Checked = (ScorerSpec, Vec<(JudgeSpec, bool)>);

pub(crate) fn scoring(at: &Reader<'_>, rows: Option<&Rows>, catalog: &Catalog) -> Option<Scoring> {
    let object = at.object()?;
    let scorer = object
        .require(
            "scorer",
            "say how one answer is scored, such as {\"type\": \"exact\", …}",
        )
        .and_then(|at| scorer(&at, rows, catalog));
    let selector_at = object.get("selector");
    let selector = selector_at.as_ref().map(|at| selector(at, rows, catalog));
    let reducers: Vec<(&str, Reducer)> = Reducer::ALL
        .iter()
        .map(|reducer| (reducer.as_str(), *reducer))
        .collect();
    let place = object.get("reduce");
    let reduce = place.as_ref().map(|at| {
        is_of_rows(at)?;
        at.one_of(&reducers)
    });
    object.finish();
    let (scorer, judges) = scorer?;
    let selector = selector.map_or(Some(None), |selector| selector.map(Some));
    let usual = match selector_at {
        Some(_) => Reducer::BestOfN,
        None => usual(&scorer),
    };
    let scoring = Scoring {
        scorer,
        judges,
        selector: selector?,
        reduce: reduce.unwrap_or(Some(usual))?,
    };
    if let (Some(at), Some(Some(reducer))) = (&place, reduce) {
        can_be_measured(at, reducer.into(), &scoring)?;
    }
    Some(scoring)
}

/// The scorer that chooses among responses. It looks at every one of them, so it only reads.
fn selector(at: &Reader<'_>, rows: Option<&Rows>, catalog: &Catalog) -> Option<ScorerSpec> {
    let parts = at.value.get("parts").and_then(Value::as_array);
    let parts = parts.into_iter().flatten().enumerate();
    let parts = parts.map(|(number, part)| (format!("/parts/{number}/scorer"), part.get("scorer")));
    for (place, scorer) in std::iter::once((String::new(), Some(at.value))).chain(parts) {
        let name = scorer.and_then(|scorer| scorer.get("type"));
        let name = name.and_then(Value::as_str).unwrap_or_default();
        let takes = match frugal_scoring::outside_of(name) {
            None => continue,
            Some(Outside::Judge) => "asks a model",
            Some(Outside::Webhook) => "asks a webhook",
            Some(Outside::Programs) => "runs programs",
        };
        return at.fault_below(
            &format!("{place}/type"),
            format!(
                "`{name}` {takes} for each response, and a selector only reads them: choose by another \
                 scorer, such as `json`, `regex` or `composite`, and leave `{name}` to `scorer`"
            ),
        );
    }
    Some(scorer(at, rows, catalog)?.0)
}

/// A scorer without a reducer, which is the usual one.
pub(crate) fn by_itself(
    at: &Reader<'_>,
    rows: Option<&Rows>,
    catalog: &Catalog,
) -> Option<Scoring> {
    let (scorer, judges) = scorer(at, rows, catalog)?;
    Some(Scoring {
        reduce: usual(&scorer),
        scorer,
        judges,
        selector: None,
    })
}

/// The reducer where none is given. A share of right is no chance to be right.
fn usual(scorer: &ScorerSpec) -> Reducer {
    match frugal_scoring::is_graded(scorer) {
        true => Reducer::Mean,
        false => Reducer::ExpectedSuccess,
    }
}

/// Refuses the name of a metric of all rows together, where one of each row is asked for.
pub(crate) fn is_of_rows(at: &Reader<'_>) -> Option<()> {
    let name = at.value.as_str().unwrap_or_default();
    if name.parse::<CorpusMetric>().is_err() {
        return Some(());
    }
    at.fault(format!(
        "`{name}` is of all rows together and no mean over them, so that nothing can go by it from row \
         to row: take `mean`, which is of the scores of the rows; trials and reports show `{name}` beside it, with \
         intervals and differences, wherever the scorer counts what it takes"
    ))
}

/// Refuses the metric of the majority where the scorer cannot say which responses give the same answer, and
/// that of the best of n where there is nothing to choose it by.
pub(crate) fn can_be_measured(at: &Reader<'_>, metric: Metric, scoring: &Scoring) -> Option<()> {
    let name = match metric {
        Metric::BestOfN if scoring.selector.is_none() => {
            return at.fault(
                "`best_of_n` counts the response that a selector prefers, and there is none: give \
                 `scoring.selector`, a scorer such as {\"type\": \"json\"}",
            );
        }
        Metric::Majority if !frugal_scoring::has_answers(&scoring.scorer) => {
            scoring.scorer.0.get("type").and_then(Value::as_str)
        }
        _ => return Some(()),
    };
    at.fault(format!(
        "`majority` counts responses that give the same answer, which the scorer `{}` cannot tell; \
         score by {}, or take another one, such as `mean`",
        name.unwrap_or_default(),
        frugal_scoring::with_answers()
    ))
}

/// The scorer, once it and every part of it compiles and every row has a right answer for it: what could
/// not be scored would be paid for all the same.
fn scorer(at: &Reader<'_>, rows: Option<&Rows>, catalog: &Catalog) -> Option<Checked> {
    let object = at.object()?;
    let spec = frugal_scoring::read(&object);
    let Some(parts) = spec.as_ref().and_then(frugal_scoring::parts) else {
        return checked(at, &object, spec, rows, catalog);
    };
    let places = object.get("parts")?.array()?;
    let checks = places.iter().zip(parts).map(|(at, part)| {
        let at = at.object()?.get("scorer")?;
        checked(&at, &at.object()?, Some(part), rows, catalog)
    });
    // All of them, so that all faults are found.
    let all: Vec<Option<Checked>> = checks.collect();
    let all: Vec<Checked> = all.into_iter().collect::<Option<_>>()?;
    let judges = all.into_iter().flat_map(|(_, judges)| judges);
    Some((spec?, judges.collect()))
}

/// A scorer that was read, once it compiles and every row has a right answer for it.
fn checked(
    at: &Reader<'_>,
    object: &ObjectReader<'_>,
    spec: Option<ScorerSpec>,
    rows: Option<&Rows>,
    catalog: &Catalog,
) -> Option<Checked> {
    let name = object.get("type");
    let name = name.and_then(|at| at.value.as_str()).unwrap_or_default();
    let templates = frugal_scoring::templates(name);
    let fields: Vec<Reader<'_>> = templates
        .iter()
        .filter_map(|name| object.get(name))
        .collect();
    let checks = fields.iter().map(|at| match at.value.as_str() {
        Some(text) if !text.is_empty() => template::check(at, text, rows),
        _ => None,
    });
    // All of them, so that all faults are found.
    let checks: Vec<Option<()>> = checks.collect();
    let rendered = checks.into_iter().collect::<Option<()>>();
    let spec = spec?;
    let can_be_done = match frugal_scoring::outside(&spec).as_slice() {
        [Outside::Programs] => has_sandbox(object, &spec, &catalog.programs),
        [Outside::Webhook] => has_webhook(object, catalog),
        _ => Some(()),
    };
    let scorer = match Scorer::compile(&spec) {
        // What is wrong with the template was noted.
        Err(error) if templates.contains(&error.field) && object.has(error.field) => return None,
        Err(error) => {
            rendered?;
            let field = object.get(error.field);
            return field.as_ref().unwrap_or(at).fault(error.detail);
        }
        Ok(scorer) => scorer,
    };
    rendered?;
    if let Some(rows) = rows {
        fields.iter().try_for_each(|at| has_labels(at, rows))?;
    }
    let judges = scorer
        .judges()
        .map(|asked| judge(object, asked, rows, catalog));
    let judges = judges.collect::<Option<Vec<_>>>()?;
    for (row, instance) in rows.into_iter().flat_map(Rows::numbered) {
        if let Err(error) = scorer.expectation(instance) {
            let field = object.get(error.field());
            return field
                .as_ref()
                .unwrap_or(at)
                .fault(format!("row {row} of the data: {error}"));
        }
    }
    can_be_done?;
    Some((spec, judges))
}

/// Refuses a scorer that runs programs where the server runs none, or none for so long.
fn has_sandbox(
    object: &ObjectReader<'_>,
    spec: &ScorerSpec,
    programs: &Availability,
) -> Option<()> {
    let most = match programs {
        Availability::Ready { seconds } => *seconds,
        Availability::Absent { why } => {
            return object.at.fault_below(
                "/type",
                format!(
                    "runs programs, which this server does not: {why}; ask its operator, or use another scorer"
                ),
            );
        }
    };
    match spec.0.get("seconds").and_then(Value::as_u64) {
        Some(seconds) if seconds > u64::from(most) => object.at.fault_below(
            "/seconds",
            format!("this server gives a program at most {most}, not {seconds}"),
        ),
        _ => Some(()),
    }
}

/// Refuses a hook that the operator does not list.
fn has_webhook(object: &ObjectReader<'_>, catalog: &Catalog) -> Option<()> {
    let at = object.get("name")?;
    let name = at.value.as_str()?;
    if catalog.webhooks.contains_key(name) {
        return Some(());
    }
    let listed = catalog.webhooks.keys().map(|name| format!("`{name}`"));
    let listed: Vec<String> = listed.collect();
    at.fault(match listed.is_empty() {
        true => {
            format!("`{name}` is not a webhook of this server, which lists none; ask its operator")
        }
        false => format!(
            "`{name}` is not a webhook of this server; it has {}",
            listed.join(", ")
        ),
    })
}

/// The judge of a scorer whose own fields are sound: the operator has it, and its rubric can be rendered
/// for every row.
fn judge(
    object: &ObjectReader<'_>,
    asked: &Judge,
    rows: Option<&Rows>,
    catalog: &Catalog,
) -> Option<(JudgeSpec, bool)> {
    let text = |name: &str| {
        let at = object.get(name)?;
        let text = at.value.as_str()?;
        Some((at, text))
    };
    let known = models::known(text("endpoint")?, text("model")?, catalog);
    let (rubric_at, _) = text("rubric")?;
    let known = known?;
    for (row, instance) in rows.into_iter().flat_map(Rows::numbered) {
        if let Err(error) = asked.rubric(instance) {
            return rubric_at.fault(format!("row {row} of the data: {error}"));
        }
    }
    if let Some(at) = object.get("labels") {
        let mut rated = 0;
        for (row, instance) in rows.into_iter().flat_map(Rows::numbered) {
            match asked.label(instance) {
                Ok(label) => rated += usize::from(label.is_some()),
                Err(error) => return at.fault(format!("row {row} of the data: {error}")),
            }
        }
        if rated == 0 && rows.is_some() {
            return at.fault(
                "no row of the data has both an answer and a rating; name the fields that hold them, \
                 or leave `labels` out",
            );
        }
    }
    let judge = JudgeSpec {
        model: known.choice,
        max_tokens: asked.max_tokens(),
        temperature: asked.temperature(),
        questions: asked.questions(),
        share: asked.share(),
    };
    Some((judge, known.priced))
}

/// Refuses rows whose right answer is null: it is missing there, and would be written as the text
/// `null`.
fn has_labels(at: &Reader<'_>, rows: &Rows) -> Option<()> {
    let text = at.value.as_str()?.trim();
    let field = text.strip_prefix("{{").and_then(|it| it.strip_suffix("}}"));
    let Some(field) = field.map(str::trim) else {
        return Some(());
    };
    let is_null = |row: &&_| Instance::get(row, field).is_some_and(Value::is_null);
    let mut lacking = rows.numbered().filter(|(_, row)| is_null(row));
    let Some((first, _)) = lacking.next() else {
        return Some(());
    };
    let more = match lacking.count() {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    at.fault(format!(
        "row {first}{more} of the data: `{field}` is null, which is no right answer; give one or \
         leave the row out"
    ))
}
