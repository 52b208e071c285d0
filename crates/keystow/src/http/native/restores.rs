//! `/restores` and `/drills`

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystow_engine::Error;
use keystow_engine::model::KeyChoice;
use keystow_engine::ops::{NewLogin, RestoreRequest, Target};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Body, Caller};
use super::instances::given;
use super::problem::Answer;
use super::{Native, rows};
use crate::api::{JobRow, NewDrillRequest, NewRestoreRequest, Problem, RestoreStarted, TlsRequest};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(restore)).routes(routes!(drill))
}

/// Plans a restore and, unless it is a dry run, asks for it; the answer comes before it is done. What the plan of a dry
/// run refuses is in the plan, else it is an error.
#[utoipa::path(post, path = "/restores", request_body = NewRestoreRequest, security(("access_key" = [])),
    responses((status = 200, body = RestoreStarted), (status = 202, body = RestoreStarted),
        (status = "default", body = Problem)))]
async fn restore(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(new): Body<NewRestoreRequest>,
) -> Answer<(StatusCode, Json<RestoreStarted>)> {
    let dry_run = new.dry_run;
    let wanted = wanted(new)?;
    if dry_run {
        let plan = native.engine.plan_restore(&who, &wanted).await?;
        return Ok((StatusCode::OK, Json(RestoreStarted { plan: rows::plan(&plan), job: None })));
    }
    let (plan, job) = native.engine.request_restore(&who, wanted).await?;
    let started = RestoreStarted { plan: rows::plan(&plan), job: Some(rows::job(&job)) };
    Ok((StatusCode::ACCEPTED, Json(started)))
}

fn wanted(new: NewRestoreRequest) -> Result<RestoreRequest, Error> {
    fn word<T: std::str::FromStr<Err = Error> + Default>(text: Option<String>) -> Result<T, Error> {
        text.map_or_else(|| Ok(T::default()), |text| text.parse())
    }
    let target = match (new.to, new.instance) {
        (Some(url), None) => Target::Server(Box::new(NewLogin {
            url,
            username: new.username.filter(|text| !text.is_empty()),
            password: given(new.password),
            sentinel_username: new.sentinel_username.filter(|text| !text.is_empty()),
            sentinel_password: given(new.sentinel_password),
            tls_ca: new.tls.ca,
            tls_certificate: new.tls.certificate,
            tls_key: given(new.tls.key),
            tls_server_name: new.tls.server_name,
        })),
        (None, Some(id)) => {
            let secrets = [&new.username, &new.password, &new.sentinel_username, &new.sentinel_password];
            if secrets.into_iter().any(Option::is_some) || new.tls != TlsRequest::default() {
                return Err(Error::invalid("a registered instance is reached with what is kept for it")
                    .hint("leave user, password and certificates out, or name the target by its URL"));
            }
            Target::Instance(id.parse()?)
        }
        _ => return Err(Error::invalid("name the target either by 'to' or by 'instance'")),
    };
    Ok(RestoreRequest {
        backup: new.backup.parse()?,
        target,
        method: word(new.method)?,
        on_conflict: word(new.on_conflict)?,
        ttl: word(new.ttl)?,
        choice: KeyChoice {
            patterns: new.patterns,
            types: new.types,
            databases: new.databases,
            prefix: new.prefix.map(|prefix| (prefix.from, prefix.to)),
            without_functions: new.without_functions,
        },
        wipe: new.wipe,
        accept_partial: new.accept_partial,
    })
}

/// Asks for a drill: the backup is loaded into a throw-away server. The answer comes before it is done.
#[utoipa::path(post, path = "/drills", request_body = NewDrillRequest, security(("access_key" = [])),
    responses((status = 202, body = JobRow), (status = "default", body = Problem)))]
async fn drill(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(new): Body<NewDrillRequest>,
) -> Answer<(StatusCode, Json<JobRow>)> {
    let job = native.engine.request_drill(&who, new.backup.parse()?, new.server).await?;
    Ok((StatusCode::ACCEPTED, Json(rows::job(&job))))
}
