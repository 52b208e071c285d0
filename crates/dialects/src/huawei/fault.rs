//! Huawei's codes for what can go wrong: the error code pages of DDS, `GeminiDB`, DCS and the gateway
//! (APIG) in front of them all, and the form of IAM.

use std::time::SystemTime;

use http::StatusCode;
use serde_json::{Value, json};

use super::route::{Action, Service};
use super::wire::parameters::{NO_BODY, NOT_JSON};
use super::wire::request::PLACEHOLDER;
use super::wire::{Answer, EVERY_DAY};
use super::{sign, wants_chinese};
use crate::canonical::write_calendar;
use crate::vocabulary::{Fault, Request};

/// Longer than any honest canonical request.
const MAX_SHOWN: usize = 4096;
const AUTHENTICATION: &str = "APIGW.0301";

/// How an error is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `error_code` and `error_msg`.
    Database,
    /// The same with `error_ext_msg`.
    Cache,
    /// The same with the request's id.
    Gateway,
    /// `error` with `code`, `message` and `title`; the code is the status.
    Identity,
}

/// What the vendor would say to a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// HTTP status.
    pub(super) status: StatusCode,
    shape: Shape,
    code: &'static str,
    message: String,
}

impl Verdict {
    /// The answer. Code and message are always there and always texts: SDKs need both.
    pub(super) fn answer(&self, request_id: &str) -> Answer {
        let (code, message) = (self.code, &self.message);
        let body: Value = match self.shape {
            Shape::Database => json!({"error_code": code, "error_msg": message}),
            Shape::Cache => json!({"error_code": code, "error_msg": message, "error_ext_msg": null}),
            Shape::Gateway => json!({"error_code": code, "error_msg": message, "request_id": request_id}),
            Shape::Identity => json!({"error": {
                "code": self.status.as_u16(),
                "message": message,
                "title": self.status.canonical_reason().unwrap_or_default(),
            }}),
        };
        Answer::new(self.status, body)
    }
}

/// Finds status, code and message of a fault; they depend on the service asked.
pub(super) fn verdict(fault: &Fault, action: Option<Action>, request: &Request, now: SystemTime) -> Verdict {
    let service = action.map_or(Service::Database, Action::service);
    let chinese = wants_chinese(request);
    let (shape, (status, code)) = match codes(fault, action) {
        Codes::Gateway(status, code) => (Shape::Gateway, (status, code)),
        Codes::Services { database, cache, identity } => match service {
            Service::Database => (Shape::Database, database),
            Service::Cache => (Shape::Cache, cache),
            Service::Identity => (Shape::Identity, (identity, "")),
        },
    };
    let message = match shape {
        Shape::Gateway => at_the_gate(fault, code, request, now),
        Shape::Identity => identity_message(fault),
        Shape::Database | Shape::Cache => {
            let known = text(code);
            let known = if chinese { known.1 } else { known.0 };
            let detail = match fault {
                Fault::NoSuchBackup(_) if shape == Shape::Cache => Some(no_backup(chinese)),
                other => detail(other, chinese),
            };
            detail.map_or_else(|| known.to_owned(), |detail| format!("{known} {detail}"))
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Verdict { status, shape, code, message }
}

/// Status and code of a fault.
enum Codes {
    /// The gateway refuses, before any service is asked.
    Gateway(u16, &'static str),
    /// Each service has its own; IAM has a status only.
    Services { database: (u16, &'static str), cache: (u16, &'static str), identity: u16 },
}

/// The codes of each fault; some depend on the action.
fn codes(fault: &Fault, action: Option<Action>) -> Codes {
    let (database, cache, identity) = match fault {
        Fault::Unsigned(_)
        | Fault::MalformedSignature(_)
        | Fault::UnknownKey
        | Fault::BadToken
        | Fault::TokenOver
        | Fault::BadSignature { .. }
        | Fault::Stale
        | Fault::MalformedTime
        | Fault::Replayed => {
            if action != Some(Action::IssueToken) {
                return Codes::Gateway(401, AUTHENTICATION);
            }
            ((401, "DBS.280056"), (401, "DCS.1001"), 401)
        }
        Fault::AddressDenied if action != Some(Action::IssueToken) => {
            return Codes::Gateway(403, "APIGW.0402");
        }
        Fault::UnknownAction(_) | Fault::UnknownVersion(_) => return Codes::Gateway(404, "APIGW.0101"),
        Fault::Throttled => return Codes::Gateway(429, "APIGW.0308"),
        Fault::TooLarge => return Codes::Gateway(413, "APIGW.0201"),
        Fault::MalformedRequest(_) if action.is_none() => return Codes::Gateway(400, "APIGW.0201"),
        Fault::WrongPassword => ((400, "DBS.301024"), (400, "DCS.4062"), 401),
        Fault::ActionDenied | Fault::AddressDenied => ((403, "DBS.280032"), (403, "DCS.2003"), 403),
        Fault::InstanceDenied => ((400, "DBS.200010"), (403, "DCS.2003"), 403),
        Fault::NotAllowListed | Fault::ClusterOnly | Fault::DownloadClosed => {
            ((403, "DBS.280042"), (403, "DCS.2003"), 403)
        }
        Fault::NotSupported(_) if action == Some(Action::CreateInstance) => {
            ((403, "DBS.280042"), (400, "DCS.4095"), 501)
        }
        Fault::NotSupported(_) => ((400, "DBS.280343"), (400, "DCS.4095"), 501),
        Fault::MissingParameter(name) => (database_missing(name), cache_parameter(name), 400),
        Fault::BadParameter { name, why } => {
            (database_parameter(name, why, action), cache_parameter(name), 400)
        }
        Fault::UnsupportedRegion(_) | Fault::UnknownParameter(_) => {
            ((400, "DBS.200001"), (400, "DCS.4062"), 400)
        }
        Fault::MalformedRequest(why) => {
            let cache = match why.as_str() {
                NO_BODY => "DCS.4004",
                NOT_JSON => "DCS.4005",
                _ => "DCS.4062",
            };
            ((400, "DBS.200001"), (400, cache), 400)
        }
        Fault::NoSuchInstance(_) => ((404, "DBS.200002"), (404, "DCS.3022"), 404),
        Fault::NoSuchBackup(_) => ((400, "DBS.201214"), (400, "DCS.4062"), 404),
        Fault::NoSuchJob(_) => ((400, "DBS.280016"), (400, "DCS.4062"), 404),
        // IAM: a token for a project that is not the user's.
        Fault::NoSuchProject(_) => ((400, "DBS.280408"), (401, "DCS.1004"), 401),
        Fault::BackupNotReady(_) | Fault::BackupBusy(_) | Fault::InstanceBusy(_) => {
            in_the_way(matches!(fault, Fault::InstanceBusy(_)), action)
        }
        Fault::BackupProtected(_) => ((403, "DBS.200011"), (400, "DCS.4095"), 403),
        Fault::InstanceAbnormal(_) | Fault::Unavailable(_) => ((500, "DBS.200998"), (500, "DCS.5000"), 503),
        Fault::Internal => ((500, "DBS.280005"), (500, "DCS.5000"), 500),
    };
    Codes::Services { database, cache, identity }
}

/// The codes of what is not ready, or does something else just now.
fn in_the_way(instance: bool, action: Option<Action>) -> ((u16, &'static str), (u16, &'static str), u16) {
    let deletes = action.is_some_and(Action::deletes);
    match (instance, deletes) {
        (true, true) => ((400, "DBS.201319"), (400, "DCS.4097"), 400),
        (true, false) if action == Some(Action::RestoreCacheInstance) => {
            ((403, "DBS.200019"), (400, "DCS.4097"), 400)
        }
        (true, false) | (false, true) => ((403, "DBS.200019"), (400, "DCS.4096"), 400),
        (false, false) => ((400, "DBS.201204"), (400, "DCS.4087"), 400),
    }
}

fn database_missing(name: &str) -> (u16, &'static str) {
    let code = match name {
        "begin_time" => "DBS.280067",
        "end_time" => "DBS.280068",
        _ => "DBS.200001",
    };
    (400, code)
}

fn database_parameter(name: &str, why: &str, action: Option<Action>) -> (u16, &'static str) {
    let creating = matches!(action, Some(Action::CreateBack | Action::CreateManualBackup));
    let code = match (name, action) {
        (_, Some(Action::RestoreExistingInstance)) => "DBS.301024",
        ("restore_time", _) => "DBS.201215",
        (_, Some(Action::RestoreInstance)) => "DBS.301024",
        ("start_time", Some(Action::SetBackupPolicy)) => "DBS.280216",
        ("keep_days", _) => "DBS.280214",
        ("period", _) if why == EVERY_DAY => "DBS.280251",
        ("period", _) => "DBS.280215",
        ("begin_time" | "start_time", _) => "DBS.280067",
        ("end_time", _) => "DBS.280068",
        ("date", _) => "DBS.280409",
        ("limit", _) => "DBS.280439",
        ("offset", _) => "DBS.280440",
        ("name", _) if creating => "DBS.280277",
        ("description", _) if creating => "DBS.280127",
        _ => "DBS.200001",
    };
    (400, code)
}

/// The codes of the policy's fields stand in the order of the fields.
fn cache_parameter(name: &str) -> (u16, &'static str) {
    let code = match name {
        "backup_type" => "DCS.4072",
        "save_days" => "DCS.4073",
        "backup_at" => "DCS.4074",
        "period_type" => "DCS.4075",
        "begin_at" => "DCS.4076",
        "remark" => "DCS.4098",
        _ => "DCS.4062",
    };
    (400, code)
}

/// The vendor's text of a code, English and Chinese. For DCS, whose texts are not on record, our own.
fn text(code: &str) -> (&'static str, &'static str) {
    match code {
        "DBS.200002" => ("The DB instance does not exist.", "实例不存在。"),
        "DBS.200010" => ("Authentication failed.", "鉴权失败。"),
        "DBS.200011" => ("The operation is not allowed in the current state.", "当前状态不允许执行该操作。"),
        "DBS.200019" => ("Another operation is being performed.", "正在执行其他操作。"),
        "DBS.200998" => ("The system is busy.", "系统繁忙。"),
        "DBS.201204" => (
            "Operation cannot be executed in current state of the DB instance.",
            "实例当前状态不允许执行该操作。",
        ),
        "DBS.201214" => ("The backup file does not exist.", "备份文件不存在。"),
        "DBS.201215" => ("Time is illegal.", "时间不合法。"),
        "DBS.201319" => (
            "Deleting backup file is not allowed because a restoration task is in progress",
            "正在执行恢复任务，不允许删除备份文件。",
        ),
        "DBS.280005" => ("Server error. Try again later.", "服务器错误，请稍后重试。"),
        "DBS.280016" => ("Resource not found.", "资源不存在。"),
        "DBS.280032" => ("You do not have permission for this operation.", "没有该操作的权限。"),
        "DBS.280042" => ("Invalid request.", "无效的请求。"),
        "DBS.280067" | "DBS.280216" => ("Invalid start time.", "开始时间无效。"),
        "DBS.280068" => ("Invalid end time.", "结束时间无效。"),
        "DBS.280127" => ("Invalid backup description.", "备份描述无效。"),
        "DBS.280214" => ("Invalid retention days.", "备份保留天数无效。"),
        "DBS.280215" => ("Invalid backup cycle.", "备份周期无效。"),
        "DBS.280251" => ("Invalid backup period.", "备份周期无效。"),
        "DBS.280277" => ("Invalid backup name.", "备份名称无效。"),
        "DBS.280343" => ("Unsupported operation.", "不支持该操作。"),
        "DBS.280408" => ("Invalid project id.", "项目 ID 无效。"),
        "DBS.280409" => ("Invalid date.", "日期无效。"),
        "DBS.280439" => ("Invalid limit.", "limit 无效。"),
        "DBS.280440" => ("Invalid offset.", "offset 无效。"),
        "DBS.301024" => ("Invalid backup restore information.", "备份恢复信息无效。"),
        "DCS.1004" => ("The project does not match.", "项目不匹配。"),
        "DCS.2003" => ("No permission for this operation.", "没有该操作的权限。"),
        "DCS.3022" => ("This DCS instance does not exist.", "缓存实例不存在。"),
        "DCS.4004" => ("The request body is empty.", "请求体为空。"),
        "DCS.4005" => ("The request body is not JSON.", "请求体不是 JSON。"),
        "DCS.4087" => ("The backup cannot be used.", "备份不可用。"),
        "DCS.4095" => ("The operation is not supported.", "不支持该操作。"),
        "DCS.4096" => ("A backup is running.", "正在备份。"),
        "DCS.4097" => ("A restore is running.", "正在恢复。"),
        "DCS.5000" => ("Internal service error.", "服务内部错误。"),
        code if code.starts_with("DCS.") => ("Invalid parameter.", "参数无效。"),
        _ => ("Parameter error.", "参数错误。"),
    }
}

/// What stands behind the vendor's text, where that does not say enough.
fn detail(fault: &Fault, chinese: bool) -> Option<String> {
    let (english, in_chinese) = match fault {
        Fault::MissingParameter(name) => (format!("{name} is missing."), format!("缺少 {name}。")),
        Fault::UnknownParameter(name) => (format!("{name} is not known."), format!("未知参数 {name}。")),
        Fault::BadParameter { name, why } => (format!("{name} {why}."), format!("{name} 的值无效。")),
        Fault::MalformedRequest(why) => {
            (format!("The request cannot be read: {why}."), format!("请求无法解析：{why}。"))
        }
        Fault::UnsupportedRegion(region) => {
            (format!("The region {region} is not served."), format!("不支持区域 {region}。"))
        }
        Fault::NotSupported(action) => {
            (format!("{action} is not supported now."), format!("暂不支持接口 {action}。"))
        }
        Fault::NoSuchProject(id) if id == PLACEHOLDER => (
            "The path has the placeholder {project_id}: give the credentials of the SDK a project id."
                .to_owned(),
            "路径中的 {project_id} 未被替换：请在 SDK 的凭证中设置项目 ID。".to_owned(),
        ),
        Fault::NoSuchProject(id) => (
            format!("{id} is not a project of this caller, or not the one in X-Project-Id."),
            format!("{id} 不是该用户的项目，或与 X-Project-Id 不一致。"),
        ),
        Fault::WrongPassword => ("The password is wrong.".to_owned(), "密码错误。".to_owned()),
        Fault::Unsigned(_)
        | Fault::MalformedSignature(_)
        | Fault::UnknownKey
        | Fault::BadToken
        | Fault::TokenOver
        | Fault::AddressDenied
        | Fault::BackupBusy(_)
        | Fault::InstanceAbnormal(_)
        | Fault::BadSignature { .. }
        | Fault::Stale
        | Fault::MalformedTime
        | Fault::Replayed
        | Fault::ActionDenied
        | Fault::InstanceDenied
        | Fault::NotAllowListed
        | Fault::ClusterOnly
        | Fault::DownloadClosed
        | Fault::Throttled
        | Fault::UnknownAction(_)
        | Fault::UnknownVersion(_)
        | Fault::TooLarge
        | Fault::NoSuchInstance(_)
        | Fault::NoSuchBackup(_)
        | Fault::NoSuchJob(_)
        | Fault::BackupNotReady(_)
        | Fault::InstanceBusy(_)
        | Fault::BackupProtected(_)
        | Fault::Unavailable(_)
        | Fault::Internal => return None,
    };
    Some(if chinese { in_chinese } else { english })
}

/// DCS has no code of its own for a backup that is not there.
fn no_backup(chinese: bool) -> String {
    if chinese {
        "backup_id 对应的备份不存在。"
    } else {
        "backup_id is not a backup of the instance."
    }
    .to_owned()
}

/// The gateway's message; it knows English only.
fn at_the_gate(fault: &Fault, code: &str, request: &Request, now: SystemTime) -> String {
    let known = match code {
        AUTHENTICATION => {
            return format!(
                "Incorrect IAM authentication information: {}",
                authentication(fault, request, now)
            );
        }
        "APIGW.0101" => "The API does not exist or has not been published in the environment.",
        "APIGW.0402" => "The client IP address is not authorized to access the API.",
        "APIGW.0308" => "The throttling threshold has been reached.",
        _ => "The request cannot be taken:",
    };
    match fault {
        Fault::MalformedRequest(why) => format!("{known} {why}."),
        Fault::TooLarge => format!("{known} it is too large."),
        _ => known.to_owned(),
    }
}

fn authentication(fault: &Fault, request: &Request, now: SystemTime) -> String {
    match fault {
        Fault::Unsigned(name) => format!("{} not found", name.to_ascii_lowercase()),
        Fault::UnknownKey => format!("ak {} not exist", sign::shown(request).0),
        Fault::BadToken | Fault::TokenOver => "decrypt token fail".to_owned(),
        Fault::BadSignature { .. } => {
            let canonical = sign::canonical_shown(request).unwrap_or_default().replace('\n', "|");
            let shown: String = canonical.chars().take(MAX_SHOWN).collect();
            format!("verify aksk signature fail, canonicalRequest:{shown}")
        }
        Fault::Stale => {
            let server = write_calendar(now, jiff::tz::Offset::UTC, sign::DATE_FORMAT);
            let date = sign::shown(request).1;
            format!("signature expired, signature time:{date},server time:{server}")
        }
        Fault::MalformedTime => "x-sdk-date is not like 20260131T235959Z".to_owned(),
        Fault::MalformedSignature(why) => why.clone(),
        other => other.to_string(),
    }
}

/// IAM's message. An unknown user and a wrong password must not be told apart.
fn identity_message(fault: &Fault) -> String {
    match fault {
        Fault::UnknownKey | Fault::WrongPassword | Fault::BadToken | Fault::TokenOver => {
            "The username or password is wrong.".to_owned()
        }
        Fault::ActionDenied | Fault::AddressDenied => {
            "You are not authorized to perform the requested action.".to_owned()
        }
        other => {
            let text = other.to_string();
            let mut letters = text.chars();
            let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
            format!("{first}{}.", letters.as_str())
        }
    }
}
