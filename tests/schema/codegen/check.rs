//! Reads an event with the package for Rust and prints what is in it.
use jimbot_proto::v1::{event::Payload, Event, EventType};
use prost::Message;

fn python(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

fn number(value: Option<i64>) -> String {
    value.map_or("absent".into(), |v| v.to_string())
}

fn main() {
    let path = std::env::args().nth(1).expect("a file");
    let event = Event::decode(std::fs::read(path).expect("an event").as_slice()).expect("an event");
    let is_state = matches!(event.payload, Some(Payload::GameState(_)));
    let kind = EventType::from_i32(event.r#type() as i32).expect("a known type");
    println!("type {} {}", kind as i32, kind.as_str_name());
    let Some(Payload::GameState(state)) = event.payload else { panic!("no game state") };
    println!("payload {}", python(is_state));
    println!("ante {}", number(state.ante));
    println!("hand_number {}", number(state.hand_number));
    println!("chips {} {}", python(state.chips == Some(f64::INFINITY)), python(state.non_finite()));
    println!("money {}", state.money());
    println!("round {}", state.round());
    println!("card {} {}", state.hand[0].rank() as i32, state.hand[0].suit() as i32);
    println!("score {}", state.score_history["a"]);
    println!("phase {}", state.game_state() as i32);
    println!("extra {} {}", state.extras[0].key(), state.extras[0].json());
}
