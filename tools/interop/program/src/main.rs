//! OpenMLS and mls-rs as members of MLS groups, driven by JSON lines: one request a line on the standard input, one answer
//! a line on the standard output. The driver (tools/interop) talks to the service; this program never does.
mod device_identity;
mod member;
mod mls_rs_member;
mod openmls_member;

use std::collections::HashMap;
use std::io::{BufRead, Write};

use member::{Answer, Member, Request, Result};

fn main() -> Result<()> {
    let mut members: HashMap<String, Box<dyn Member>> = HashMap::new();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(request) => handle(&mut members, request).unwrap_or_else(|error| Answer::failed(error.to_string())),
            Err(error) => Answer::failed(format!("not a request: {error}")),
        };
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

fn handle(members: &mut HashMap<String, Box<dyn Member>>, request: Request) -> Result<Answer> {
    if let Request::New(new) = request {
        let member: Box<dyn Member> = match new.library.as_str() {
            "openmls" => Box::new(openmls_member::OpenMlsMember::new(&new)?),
            "mls-rs" => mls_rs_member::new(&new)?,
            other => return Err(format!("no such library: {other}").into()),
        };
        members.insert(new.member, member);
        return Ok(Answer::default());
    }
    let name = request.member();
    let member = members.get_mut(name).ok_or_else(|| format!("no such member: {name}"))?;
    Ok(match request {
        Request::New(_) => unreachable!("handled above"),
        Request::KeyPackage { last_resort, .. } => Answer::bytes(member.key_package(last_resort)?),
        Request::Create { group, external_senders, .. } => {
            Answer::bytes(member.create(&group.0, external_senders.map(|senders| senders.0))?)
        }
        Request::Commit { change, .. } => Answer::bundle(member.commit(&change)?),
        Request::Confirm { .. } => done(member.confirm())?,
        Request::Discard { .. } => done(member.discard())?,
        Request::Propose { proposal, .. } => Answer::bytes(member.propose(&proposal)?),
        Request::Process { message, .. } => member.process(&message.0)?,
        Request::Send { text, .. } => Answer::bytes(member.send(text.as_bytes())?),
        Request::Join { welcome, .. } => done(member.join(&welcome.0))?,
        Request::JoinExternally { group_info, self_removes, .. } => {
            let proposals: Vec<_> = self_removes.into_iter().map(|proposal| proposal.0).collect();
            Answer::bundle(member.join_externally(&group_info.0, &proposals)?)
        }
        Request::AskToJoin { group, epoch, .. } => Answer::bytes(member.ask_to_join(&group.0, epoch)?),
        Request::GroupInfo { .. } => Answer::bytes(member.group_info()?),
        Request::State { .. } => Answer::state(member.state()?),
    })
}

fn done(result: Result<()>) -> Result<Answer> {
    result.map(|()| Answer::default())
}
