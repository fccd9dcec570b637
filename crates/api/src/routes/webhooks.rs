//! Webhooks: addresses that the events of an owner's jobs are posted to.
#![expect(
    unused_qualifications,
    reason = "the macro that describes query parameters writes paths in full"
)]

use crate::caller::Caller;
use crate::change::Change;
use crate::errors::{ApiError, Code};
use crate::extract::{JsonBody, Parameters, WebhookPath};
use crate::keys;
use crate::pagination::{self, DeliveryPosition, WebhookId};
use crate::responses::{Problems, codes};
use crate::state::AppState;
use crate::wire::{Delivery, List, NewWebhook, Webhook, WebhookPost};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use frugal_domain::event::EVENT_NAMES;
use frugal_domain::secret::Secret;
use frugal_store::webhooks as stored;
use frugal_webhook::Signer;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

/// How many webhooks an owner may have.
const MOST: u64 = 20;
/// The most characters of a URL.
const LONGEST_URL: usize = 2_000;
/// The most characters of a secret.
const LONGEST_SECRET: usize = 100;

/// Which rows to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListPage {
    /// The most rows of the page; 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

/// Create a webhook
///
/// The events that end the owner's jobs and evaluations, and those of the `types` named, are posted to `url` from now on:
/// the body is the event, as streams have it, signed as [Standard Webhooks](https://www.standardwebhooks.com) has it with
/// `webhook-id`, `webhook-timestamp` and `webhook-signature`. An answer of 2xx within 15 seconds takes a message. Any other is tried again, ten
/// times in all over three days and under the same `webhook-id`; 410 ends it. Redirects are not followed. Messages may come more than once and in
/// another order: the event's `seq` says which is later.
#[utoipa::path(
    post,
    path = "/webhooks",
    tag = "events",
    request_body(content = WebhookPost, content_type = "application/json"),
    responses(
        (status = 201, description = "The webhook, with what messages to it are signed with.", body = NewWebhook, headers(
            ("Location" = String, description = "The path of the webhook.")
        )),
        Problems<{ codes(&[
            Code::InvalidJson, Code::BodyTimeout, Code::BodyTooLarge, Code::UnsupportedMediaType,
            Code::InvalidWebhook, Code::TooManyWebhooks,
        ]) }>
    )
)]
pub(super) async fn create_webhook(
    State(state): State<AppState>,
    change: Change,
    Caller { access, .. }: Caller,
    JsonBody(document): JsonBody,
) -> Result<Response, ApiError> {
    let invalid = |detail: String| ApiError::new(Code::InvalidWebhook, detail);
    let post: WebhookPost = serde_json::from_value(document)
        .map_err(|error| invalid(format!("the webhook makes no sense: {error}")))?;
    check(&state, &post).map_err(invalid)?;
    let secret = match post.secret {
        Some(secret) => secret,
        None => keys::webhook_secret()?.into(),
    };
    let webhook = stored::Webhook {
        id: Uuid::now_v7(),
        owner: access.owner.clone(),
        url: post.url,
        types: post.types,
        labels: post.labels,
        created_at: Utc::now(),
    };
    let mut transaction = state.transaction().await?;
    if stored::count(&mut transaction, access.owner.as_deref()).await? >= MOST {
        let detail = format!("{MOST} webhooks are there already; delete one that is not needed");
        return Err(ApiError::new(Code::TooManyWebhooks, detail));
    }
    stored::create(&mut transaction, &webhook, &secret).await?;
    let location = format!("/webhooks/{}", webhook.id);
    change.note_made(&mut transaction, &location).await?;
    transaction.commit().await?;
    let about = webhook.into();
    let mut response = (StatusCode::CREATED, Json(NewWebhook { about, secret })).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// What is wrong with a webhook, and what to do.
fn check(state: &AppState, post: &WebhookPost) -> Result<(), String> {
    if post.url.chars().count() > LONGEST_URL {
        return Err(format!("`url` may have {LONGEST_URL} characters"));
    }
    let url = state.guard().webhooks.check(&post.url);
    url.map_err(|problem| format!("`url` {problem}"))?;
    let unknown = |name: &&String| !EVENT_NAMES.contains(&name.as_str());
    if let Some(unknown) = post.types.iter().find(unknown) {
        let names = EVENT_NAMES.join(", ");
        return Err(format!("`types` has `{unknown}`; it may have {names}"));
    }
    let texts = post.labels.iter().flat_map(|(key, value)| [key, value]);
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err("`labels` has a NUL character, which no label has".to_owned());
    }
    let Some(secret) = post.secret.as_ref().map(Secret::reveal) else {
        return Ok(());
    };
    let is_one = !secret.contains(char::is_whitespace) && secret.len() <= LONGEST_SECRET;
    match Signer::new(secret) {
        Ok(_) if is_one => Ok(()),
        _ => Err(
            "`secret` must be `whsec_` and 24 to 64 bytes in base64; leave it out to have one made"
                .to_owned(),
        ),
    }
}

/// List the webhooks
///
/// Newest first, without what messages to them are signed with.
#[utoipa::path(
    get,
    path = "/webhooks",
    tag = "events",
    params(ListPage),
    responses(
        (status = 200, description = "A page of webhooks.", body = List<Webhook>),
        Problems<{ codes(&[Code::InvalidParameter]) }>
    )
)]
pub(super) async fn list_webhooks(
    State(state): State<AppState>,
    Caller { access, .. }: Caller,
    Parameters(parameters): Parameters<ListPage>,
) -> Result<Json<List<Webhook>>, ApiError> {
    let limit = pagination::limit(parameters.limit)?;
    let after = pagination::cursor::<WebhookId>(parameters.cursor.as_deref())?;
    let after = after.map(|WebhookId(id)| id);
    let mut connection = state.connection().await?;
    let rows = stored::list(&mut connection, &access, after, limit + 1).await?;
    Ok(Json(pagination::page(
        rows,
        limit,
        |webhook| WebhookId(webhook.id),
        Webhook::from,
    )))
}

/// Get a webhook
#[utoipa::path(
    get,
    path = "/webhooks/{id}",
    tag = "events",
    params(("id" = Uuid, Path, description = "The webhook.")),
    responses(
        (status = 200, description = "The webhook.", body = Webhook),
        Problems<{ codes(&[Code::NotFound]) }>
    )
)]
pub(super) async fn get_webhook(WebhookPath(webhook): WebhookPath) -> Json<Webhook> {
    Json(webhook.into())
}

/// Delete a webhook
///
/// For good, with its deliveries. A message that is under way may still come.
#[utoipa::path(
    delete,
    path = "/webhooks/{id}",
    tag = "events",
    params(("id" = Uuid, Path, description = "The webhook.")),
    responses(
        (status = 204, description = "It is gone."),
        Problems<{ codes(&[Code::NotFound]) }>
    )
)]
pub(super) async fn delete_webhook(
    State(state): State<AppState>,
    change: Change,
    WebhookPath(webhook): WebhookPath,
) -> Result<StatusCode, ApiError> {
    let mut transaction = state.transaction().await?;
    if !stored::delete(&mut transaction, webhook.id).await? {
        return Err(crate::extract::no_webhook(webhook.id));
    }
    change.note(&mut transaction).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the deliveries to a webhook
///
/// Newest first: each event that it is told of, how often that was sent and what came of it. They are kept for 30 days.
#[utoipa::path(
    get,
    path = "/webhooks/{id}/deliveries",
    tag = "events",
    params(("id" = Uuid, Path, description = "The webhook."), ListPage),
    responses(
        (status = 200, description = "A page of deliveries.", body = List<Delivery>),
        Problems<{ codes(&[Code::InvalidParameter, Code::NotFound]) }>
    )
)]
pub(super) async fn list_deliveries(
    State(state): State<AppState>,
    WebhookPath(webhook): WebhookPath,
    Parameters(parameters): Parameters<ListPage>,
) -> Result<Json<List<Delivery>>, ApiError> {
    let limit = pagination::limit(parameters.limit)?;
    let before = pagination::cursor::<DeliveryPosition>(parameters.cursor.as_deref())?;
    let before = before.map(|DeliveryPosition(position)| position);
    let mut connection = state.connection().await?;
    let rows = stored::deliveries(&mut connection, webhook.id, before, limit + 1).await?;
    Ok(Json(pagination::page(
        rows,
        limit,
        |delivery| DeliveryPosition(delivery.position),
        |delivery| Delivery::new(webhook.id, delivery),
    )))
}
