//! Events and octrees of the service against answers that were recorded from it.

mod replay;

use replay::{Replay, Step};
use xcube_client::{Client, Error, Event, GenerateRequest, Octree};

fn chair() -> GenerateRequest {
    GenerateRequest::new("a chair").with_seed(1)
}

async fn events_of(server: &Replay) -> (Vec<Event>, Option<Error>) {
    let mut events = Client::new(&server.url).unwrap().stream(&chair()).await.unwrap();
    let mut seen = Vec::new();
    loop {
        match events.next().await {
            Ok(Some(event)) => seen.push(event),
            Ok(None) => return (seen, None),
            Err(error) => {
                assert!(matches!(events.next().await, Ok(None)), "nothing follows an error");
                return (seen, Some(error));
            }
        }
    }
}

#[tokio::test]
async fn the_coarse_shape_comes_before_the_whole_one() {
    let server = Replay::of(&[Step::Answer("events")]);
    let (events, error) = events_of(&server).await;
    assert!(error.is_none());
    assert_eq!(events[0], Event::Queued { position: 0 });
    assert!(events
        .iter()
        .any(|event| matches!(event, Event::Progress(told) if told.stage == "fine" && told.steps == 4)));
    let coarse = events.iter().position(|event| matches!(event, Event::Coarse(_))).unwrap();
    assert!(coarse + 1 < events.len());
    let (Event::Coarse(coarse), Some(Event::Completed(whole))) = (&events[coarse], events.last()) else { panic!() };
    assert_eq!(coarse.coarse_xyz, whole.coarse_xyz);
    assert_eq!(coarse.seed_text, "1");
    assert!(whole.fine_xyz.as_ref().unwrap().len() > coarse.coarse_xyz.len());
    assert!(server.requests()[0].starts_with("POST /generate_stream HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_stream_that_is_cut_is_an_error_after_what_came() {
    let (events, error) = events_of(&Replay::of(&[Step::Cut("events", 1000)])).await;
    assert!(matches!(events.last(), Some(Event::Progress(_))), "{events:?}");
    assert!(matches!(error, Some(Error::CutOff)), "{error:?}");
}

#[tokio::test]
async fn a_refused_stream_is_an_error_as_any_other() {
    let server = Replay::of(&[Step::Answer("refused")]);
    let told = Client::new(&server.url).unwrap().stream(&chair()).await;
    assert!(matches!(told, Err(Error::Refused { status: 400, .. })));
}

#[tokio::test]
async fn an_octree_of_the_service_is_where_its_points_are() {
    let (events, _) = events_of(&Replay::of(&[Step::Answer("events")])).await;
    let Some(Event::Completed(shape)) = events.last() else { panic!() };
    let server = Replay::of(&[Step::Answer("octree")]);
    let read = Client::new(&server.url).unwrap().octree(&chair()).await.unwrap();
    assert!(server.requests()[0].starts_with("POST /generate?format=bcf HTTP/1.1\r\n"));
    let points = Octree::from_points(shape.fine_xyz.as_ref().unwrap(), 1).unwrap();
    let depth = points.depth().max(read.depth());
    let side = 1u32 << depth;
    for x in 0..side {
        for y in 0..side {
            for z in 0..side {
                let at = [x, y, z];
                assert_eq!(read.material(depth, at) == 0, points.material(depth, at) == 0, "{at:?}");
            }
        }
    }
    assert!(!read.cubes().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_no_octree_cannot_be_read() {
    let server = Replay::of(&[Step::Answer("shape")]);
    match Client::new(&server.url).unwrap().octree(&chair()).await {
        Err(Error::Unreadable(why)) => assert!(why.contains("does not begin as a BCF file does"), "{why}"),
        other => panic!("{other:?}"),
    }
}
