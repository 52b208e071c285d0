//! A pipeline and a server that refuses some of what it gets.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::*;
use crate::model::Slots;
use crate::redis::encode;

type Log = Arc<Mutex<Vec<String>>>;
type Answer = Arc<dyn Fn(usize, &str) -> String + Send + Sync>;

fn command(reader: &mut impl BufRead) -> Option<String> {
    let number = |reader: &mut dyn BufRead| {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        line.get(1..)?.trim().parse::<usize>().ok()
    };
    let mut words = Vec::new();
    for _ in 0..number(reader)? {
        let mut word = vec![0; number(reader)? + 2];
        reader.read_exact(&mut word).ok()?;
        words.push(String::from_utf8_lossy(&word[..word.len() - 2]).into_owned());
    }
    Some(words.join(" "))
}

fn serve(socket: TcpStream, log: &Log, answer: &Answer) {
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let mut writer = socket;
    while let Some(command) = command(&mut reader) {
        let mut log = log.lock().unwrap();
        let reply = answer(log.len(), &command);
        log.push(format!("{command} {}", if reply.starts_with('-') { "refused" } else { "taken" }));
        drop(log);
        if writer.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

/// A server that answers a command by its number and text. Gives where it is, and what it got.
fn server(answer: impl Fn(usize, &str) -> String + Send + Sync + 'static) -> (Node, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (log, answer): (Log, Answer) = (Log::default(), Arc::new(answer));
    let kept = log.clone();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let (log, answer) = (log.clone(), answer.clone());
            thread::spawn(move || serve(socket, &log, &answer));
        }
    });
    (Node::Tcp { host: "127.0.0.1".to_owned(), port, tls: false }, kept)
}

/// Sends the pieces of one key, each of them two commands, and gives how it went.
fn in_pieces(node: Node, pieces: &'static [[&'static str; 2]]) -> (Result<()>, Counts) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let route = Route::new([(node, Slots::default())]).unwrap();
    let fleet = Fleet {
        login: Login::default(),
        timeouts: Timeouts::default(),
        find: Box::new(move || Ok(route.clone())),
        patience: Duration::from_secs(5),
    };
    let mut pipeline = Pipeline::open(fleet, WhenBusy::Fail, CancellationToken::new()).unwrap();
    for (index, commands) in pieces.iter().enumerate() {
        let mut bytes = Vec::new();
        for command in commands {
            let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            encode(&mut bytes, &words);
        }
        let order = Order {
            command: &bytes,
            replies: 2,
            slot: 0,
            database: 0,
            repeatable: false,
            is_last: index + 1 == pieces.len(),
        };
        if let Err(error) = pipeline.push(order) {
            return (Err(error), pipeline.counts());
        }
    }
    pipeline.finish()
}

const PIECES: &[[&str; 2]] =
    &[["UNLINK k", "RPUSH k 1"], ["RPUSH k 2", "RPUSH k 3"], ["RPUSH k 4", "PEXPIREAT k 9"]];

#[test]
fn pieces_go_again_in_their_order_when_all_were_refused() {
    // A node that is not the slot's, then one that is; and one to which the slot moves.
    for text in ["-CLUSTERDOWN x\r\n", "-ASK 0 127.0.0.1:1\r\n"] {
        let (node, log) =
            server(move |index, _| if index < 6 { text.to_owned() } else { ":1\r\n".to_owned() });
        let (result, counts) = in_pieces(node, PIECES);
        result.unwrap();
        assert_eq!((counts.done, counts.mended), (1, 1));
        let log = log.lock().unwrap();
        let taken: Vec<&str> = log.iter().filter_map(|line| line.strip_suffix(" taken")).collect();
        assert_eq!(taken, PIECES.concat());
    }
}

#[test]
fn a_piece_that_overtakes_a_refused_one_fails_the_restore() {
    for refused in 0..5 {
        // Just this one, as a server does that is busy for a moment.
        let (node, _) =
            server(
                move |index, _| {
                    if index == refused { "-BUSY script\r\n".to_owned() } else { ":1\r\n".to_owned() }
                },
            );
        let (result, counts) = in_pieces(node, PIECES);
        let error = result.unwrap_err();
        assert_eq!((error.code, counts.done, counts.wrote), ("RESTORE_HALF_DONE", 0, true), "{refused}");
        assert!(error.to_string().contains("\"k\""), "{error}");
    }
}
