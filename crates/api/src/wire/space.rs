//! The search space of a posted job, described. Its dimensions overlap (a constant may be
//! anything), which no derived schema says, so these schemas are written out.

use serde::Serialize;
use serde_json::json;
use std::borrow::Cow;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, Array, ArrayBuilder, ObjectBuilder, Schema, SchemaType,
    Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// The settings that vary, by name.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SearchSpacePost;

/// What one setting may be.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DimensionPost;

/// A configuration given by its settings.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ConfigurationPost;

fn dimension() -> RefOr<Schema> {
    Ref::from_schema_name(DimensionPost::name()).into()
}

impl ToSchema for SearchSpacePost {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SearchSpacePost")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((DimensionPost::name().into_owned(), DimensionPost::schema()));
    }
}

impl PartialSchema for SearchSpacePost {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some(
                "The settings that vary, by name. `temperature`, `top_p`, `max_tokens`, `n` and `stop` are Frugal's own; any other name goes to the endpoint as it is. At most 64 of them. The model, the prompt and the seed of a request are not settings here.",
            ))
            .additional_properties(Some(AdditionalProperties::RefOr(dimension())))
            .build()
            .into()
    }
}

impl ToSchema for DimensionPost {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("DimensionPost")
    }
}

impl PartialSchema for DimensionPost {
    fn schema() -> RefOr<Schema> {
        let closed = || {
            ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)))
        };
        let range = |item: Type, what: &str| -> Array {
            ArrayBuilder::new()
                .items(ObjectBuilder::new().schema_type(SchemaType::Type(item)))
                .min_items(Some(2))
                .max_items(Some(2))
                .description(Some(what))
                .build()
        };
        let scale = || {
            ObjectBuilder::new()
                .schema_type(SchemaType::Type(Type::String))
                .enum_values(Some(["linear", "log"]))
                .default(Some(json!("linear")))
                .description(Some(
                    "How distances are measured: by difference or by ratio. `log` needs a low end above 0.",
                ))
        };
        let float = closed()
            .title(Some("float"))
            .description(Some("Any number of a range."))
            .property("float", range(Type::Number, "The low and the high end, both included."))
            .required("float")
            .property("scale", scale())
            .property(
                "step",
                ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::Number))
                    .exclusive_minimum(Some(0.0))
                    .description(Some("Values are the low end plus a multiple of this; for the linear scale only.")),
            );
        let int = closed()
            .title(Some("int"))
            .description(Some("Any integer of a range."))
            .property("int", range(Type::Integer, "The low and the high end, both included."))
            .required("int")
            .property("scale", scale())
            .property(
                "step",
                ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::Integer))
                    .minimum(Some(1.0))
                    .description(Some("Values are the low end plus a multiple of this; for the linear scale only.")),
            );
        let choice = closed()
            .title(Some("choice"))
            .description(Some("One of several values."))
            .property(
                "choice",
                ArrayBuilder::new()
                    .items(ObjectBuilder::new().schema_type(SchemaType::AnyValue))
                    .min_items(Some(1))
                    .max_items(Some(1000))
                    .unique_items(true)
                    .description(Some("The values, no two equal.")),
            )
            .required("choice")
            .property(
                "ordered",
                ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::Boolean))
                    .default(Some(json!(false)))
                    .description(Some("Whether neighbours in the list are alike.")),
            );
        let one_of = closed()
            .title(Some("one_of"))
            .description(Some(
                "One of several sub-spaces, such as `temperature` or `top_p`; the settings of the others are absent. The name of the dimension itself is not sent.",
            ))
            .property(
                "one_of",
                ArrayBuilder::new()
                    .items(
                        ObjectBuilder::new()
                            .additional_properties(Some(AdditionalProperties::RefOr(dimension()))),
                    )
                    .min_items(Some(1))
                    .max_items(Some(64)),
            )
            .required("one_of");
        let constant = ObjectBuilder::new()
            .title(Some("constant"))
            .schema_type(SchemaType::AnyValue)
            .description(Some(
                "Always this value: anything but an object of the forms above.",
            ));
        let any = AnyOfBuilder::new()
            .item(float)
            .item(int)
            .item(choice)
            .item(one_of)
            .item(constant)
            .description(Some("What one setting may be."))
            .examples([
                json!({"float": [0, 2]}),
                json!({"int": [16, 256], "scale": "log"}),
                json!({"choice": [["\n\n"], ["\n"]]}),
                json!({"one_of": [{"temperature": {"float": [0, 2]}}, {"top_p": {"float": [0, 1]}}]}),
                json!(0),
            ])
            .build();
        Schema::AnyOf(any).into()
    }
}

impl ToSchema for ConfigurationPost {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ConfigurationPost")
    }
}

impl PartialSchema for ConfigurationPost {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some(
                "Settings by name, in the form in which trials show them. The model is given by its name, with `endpoint` next to it where two endpoints have one of the same name, and the prompt by its name, with `demonstrations` next to it where that says which of the ways of showing them is meant.",
            ))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .examples([json!({"model": "gemma-3-270m", "temperature": 0.7, "n": 5})])
            .build()
            .into()
    }
}
