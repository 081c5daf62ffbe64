//! The client against answers that were recorded from the service (tests/answers), without a network.

mod replay;

use std::time::{Duration, Instant};

use replay::{Replay, Step};
use xcube_client::{Client, Error, GenerateRequest, Given, Origin, Preset, Scheduler, Settings};

fn quick() -> Settings {
    Settings { back_off: [1, 2, 4].map(Duration::from_millis), ..Settings::default() }
}

fn client(server: &Replay) -> Client {
    Client::with_settings(&server.url, quick()).unwrap()
}

fn chair() -> GenerateRequest {
    GenerateRequest::new("a chair").with_seed(1)
}

#[test]
fn the_times_are_those_that_are_promised() {
    let settings = Settings::default();
    assert_eq!(settings.health_timeout, Duration::from_secs(5));
    assert_eq!(settings.generate_timeout, Duration::from_secs(300));
    assert_eq!(settings.back_off, [1, 2, 4].map(Duration::from_secs));
}

#[tokio::test]
async fn health_is_read() {
    let server = Replay::of(&[Step::Answer("health"), Step::Answer("health_failed")]);
    let health = client(&server).health().await.unwrap();
    assert!(health.is_ready());
    assert!(health.xcube_available);
    assert_eq!(health.error, None);
    let failed = client(&server).health().await.unwrap();
    assert!(!failed.is_ready());
    assert!(failed.error.unwrap().contains("text"));
    assert!(server.requests()[0].starts_with("GET /health HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_shape_is_read_with_its_seed() {
    let server = Replay::of(&[Step::Answer("shape")]);
    let made = client(&server).generate(&chair()).await.unwrap();
    assert_eq!(made.seed, Some(1));
    assert_eq!(made.warning, None);
    let shape = made.shape;
    assert!(shape.coarse_xyz.len() > 1);
    assert_eq!(shape.coarse_xyz.len(), shape.coarse_normal.len());
    let (xyz, normal) = (shape.fine_xyz.unwrap(), shape.fine_normal.unwrap());
    assert!(xyz.len() > 1);
    assert_eq!(xyz.len(), normal.len());
    assert!(xyz.iter().flatten().all(|value| value.abs() <= 0.5));
    assert!(normal.iter().all(|[x, y, z]| ((x * x + y * y + z * z).sqrt() - 1.0).abs() < 1e-3));
}

#[tokio::test]
async fn a_shape_is_asked_for_as_npz_and_is_the_one_that_json_has() {
    let server = Replay::of(&[Step::Answer("shape"), Step::Answer("npz")]);
    let client = client(&server);
    let json = client.generate(&chair()).await.unwrap();
    let npz = client.generate(&chair()).await.unwrap();
    assert_eq!(npz.seed, Some(1));
    let (json, npz) = (json.shape, npz.shape);
    assert_eq!(npz.coarse_xyz, json.coarse_xyz);
    assert_eq!(npz.fine_xyz, json.fine_xyz);
    let normals = |shape: xcube_client::Shape| [shape.coarse_normal, shape.fine_normal.unwrap()].concat();
    for (half, whole) in normals(npz).iter().flatten().zip(normals(json).iter().flatten()) {
        assert!((half - whole).abs() < 1e-3);
    }
    for request in server.requests() {
        assert!(request.to_lowercase().contains("\r\naccept: application/x-npz, application/json;q=0.5\r\n"));
    }
}

#[tokio::test]
async fn without_a_fine_stage_its_fields_are_none() {
    let server = Replay::of(&[Step::Answer("coarse")]);
    let made = client(&server).generate(&GenerateRequest { use_fine: false, ..chair() }).await.unwrap();
    assert!(!made.shape.coarse_xyz.is_empty());
    assert_eq!((made.shape.fine_xyz, made.shape.fine_normal), (None, None));
}

#[tokio::test]
async fn seeds_of_every_width_go_out_as_numbers_and_none_is_left_out() {
    let server = Replay::of(&[Step::Answer("coarse"); 5]);
    let client = client(&server);
    client.generate(&GenerateRequest::new("a chair")).await.unwrap();
    client.generate(&GenerateRequest::new("a chair").with_seed(-1_i32)).await.unwrap();
    client.generate(&GenerateRequest::new("a chair").with_seed(i64::MIN)).await.unwrap();
    client.generate(&GenerateRequest::new("a chair").with_seed(u64::MAX)).await.unwrap();
    client.generate(&GenerateRequest::new("a chair").with_seed(u64::MAX as i128)).await.unwrap();
    let bodies: Vec<serde_json::Value> = server
        .requests()
        .iter()
        .map(|request| serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap())
        .collect();
    assert_eq!(bodies[0], serde_json::json!({"prompt": "a chair", "guidance_scale": 7.5, "use_fine": true}));
    assert_eq!(bodies[1]["seed"], -1);
    assert_eq!(bodies[2]["seed"], i64::MIN);
    assert_eq!(bodies[3]["seed"], u64::MAX);
    assert_eq!(bodies[4]["seed"], u64::MAX);
}

#[tokio::test]
async fn what_is_chosen_beside_the_defaults_goes_out_in_the_service_s_words() {
    let server = Replay::of(&[Step::Answer("coarse")]);
    let request = GenerateRequest {
        scheduler: Some(Scheduler::DpmPlusPlus),
        fine_steps: Some(20),
        guidance_interval: Some([0.2, 0.9]),
        preset: Some(Preset::Draft),
        ..chair()
    };
    client(&server).generate(&request).await.unwrap();
    let body: serde_json::Value = serde_json::from_str(server.requests()[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["scheduler"], "dpm++");
    assert_eq!(body["fine_steps"], 20);
    assert_eq!(body["guidance_interval"], serde_json::json!([0.2, 0.9]));
    assert_eq!(body["preset"], "draft");
    assert!(body.get("ddim_steps").is_none(), "the preset's count");
}

#[tokio::test]
async fn a_coarse_shape_is_refined_and_varied_as_an_earlier_one_is() {
    let server =
        Replay::of(&[Step::Answer("shape"), Step::Answer("shape"), Step::Answer("shape"), Step::Answer("shape")]);
    let (client, request) = (client(&server), chair());
    let (xyz, normal) = ([[0.25, 0.5, 0.0]], [[0.0, 1.0, 0.0]]);
    let refined = client.refine(&request, &Given::Points { xyz: &xyz, normal: &normal }).await.unwrap();
    assert!(refined.shape.fine_xyz.is_some());
    client.refine(&request, &Given::Job { job: "f00" }).await.unwrap();
    let corners = Some([[-0.5, 0.0, -0.5], [0.5, 0.5, 0.5]]);
    let varied = client.vary(&request, &Origin::Request(&request), 0.75, corners).await.unwrap();
    assert_eq!(varied.seed, Some(1));
    let given = Given::Points { xyz: &xyz, normal: &normal };
    client.vary(&request, &Origin::Shape(&given), 0.25, None).await.unwrap();
    let [points, job, variation, own] = &server.requests()[..] else { panic!("four requests") };
    assert!(points.starts_with("POST /refine HTTP/1.1\r\n"));
    assert!(points.contains(r#""shape":{"xyz":[[0.25,0.5,0.0]],"normal":[[0.0,1.0,0.0]]}"#));
    assert!(job.contains(r#""shape":{"job":"f00"}"#));
    assert!(variation.starts_with("POST /variations HTTP/1.1\r\n"));
    assert!(variation.contains(r#""of":{"request":{"prompt":"a chair","#));
    assert!(variation.contains(r#""strength":0.75,"box":[[-0.5,0.0,-0.5],[0.5,0.5,0.5]]"#));
    assert!(own.contains(r#""shape":{"xyz":[[0.25,0.5,0.0]],"normal":[[0.0,1.0,0.0]]},"strength":0.25}"#));
    assert!(!own.contains(r#""of""#));
}

#[tokio::test]
async fn variants_are_read_with_their_seeds_and_one_that_was_not_made_is_an_error() {
    let server = Replay::of(&[Step::Answer("variants")]);
    let made = client(&server).variants(&GenerateRequest { use_fine: false, ..chair() }, 4).await.unwrap();
    let body: serde_json::Value = serde_json::from_str(server.requests()[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["n"], 4);
    assert_eq!(body["prompts"][0]["prompt"], "a chair");
    assert_eq!(made.len(), 4);
    for (number, one) in made[..3].iter().enumerate() {
        let one = one.as_ref().unwrap();
        assert_eq!(one.seed, Some(1 + number as i128));
        assert!(!one.shape.coarse_xyz.is_empty());
        assert_eq!((&one.shape.fine_xyz, &one.warning), (&None, &None));
    }
    assert!(matches!(&made[3], Err(Error::Stopped { code: Some(code), .. }) if code == "queue_full"));
}

#[tokio::test]
async fn a_file_is_asked_for_by_its_format() {
    let server = Replay::of(&[Step::Answer("shape")]);
    let content = client(&server).file(&chair(), "glb-points").await.unwrap();
    assert!(content.starts_with(b"{\"coarse_xyz\":"), "what came back, as it is");
    assert!(server.requests()[0].starts_with("POST /generate?format=glb-points HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_key_is_sent_where_there_is_one() {
    let server = Replay::of(&[Step::Answer("health"), Step::Answer("health"), Step::Answer("coarse")]);
    let client = client(&server);
    client.health().await.unwrap();
    let with_key = client.with_key("correct horse");
    with_key.health().await.unwrap();
    with_key.generate(&chair()).await.unwrap();
    let sent: Vec<bool> = server
        .requests()
        .iter()
        .map(|request| request.to_lowercase().contains("authorization: bearer correct horse\r\n"))
        .collect();
    assert_eq!(sent, [false, true, true]);
}

#[tokio::test]
async fn still_loading_is_tried_again_until_the_shape_comes() {
    let server = Replay::of(&[Step::Answer("loading"), Step::Answer("loading"), Step::Answer("coarse")]);
    assert!(client(&server).generate(&chair()).await.is_ok());
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn still_loading_is_an_error_after_three_retries_with_growing_pauses() {
    let server = Replay::of(&[Step::Answer("loading"); 5]);
    let pauses = [20, 40, 80].map(Duration::from_millis);
    let client = Client::with_settings(&server.url, Settings { back_off: pauses, ..Settings::default() }).unwrap();
    let start = Instant::now();
    match client.generate(&chair()).await {
        Err(Error::StillLoading(text)) => assert!(text.contains("still loading")),
        other => panic!("{other:?}"),
    }
    assert!(start.elapsed() >= pauses.iter().sum());
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn another_503_is_not_tried_again() {
    let server = Replay::of(&[Step::Answer("unavailable"); 2]);
    match client(&server).generate(&chair()).await {
        Err(Error::Unavailable(text)) => assert!(!text.contains("still loading")),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn other_failures_of_the_service_are_tried_three_times_more() {
    let server = Replay::of(&[Step::Answer("deadline"); 5]);
    match client(&server).generate(&chair()).await {
        Err(Error::Failed { status: 504, text }) => assert!(text.contains("ask for fewer steps")),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_service_s_words_and_not_tried_again() {
    let cases = [("refused", 400, "invalid_request", "ddim_steps"), ("empty", 422, "empty_result", "seed")];
    for (name, wanted, code_wanted, word) in cases {
        let server = Replay::of(&[Step::Answer(name); 2]);
        match client(&server).generate(&chair()).await {
            Err(Error::Refused { status, code, text }) => {
                assert_eq!((status, code.as_deref()), (wanted, Some(code_wanted)));
                assert!(text.contains(word), "{text}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn what_is_no_shape_cannot_be_read() {
    let server = Replay::of(&[Step::Answer("health")]);
    match client(&server).generate(&chair()).await {
        Err(Error::Unreadable(why)) => assert!(why.contains("coarse_xyz"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout_and_not_tried_again() {
    let server = Replay::of(&[Step::Silence, Step::Silence]);
    let settings = Settings {
        health_timeout: Duration::from_millis(100),
        generate_timeout: Duration::from_millis(100),
        ..quick()
    };
    let client = Client::with_settings(&server.url, settings).unwrap();
    assert!(matches!(client.health().await, Err(Error::TimedOut(_))));
    assert!(matches!(client.generate(&chair()).await, Err(Error::TimedOut(_))));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn nobody_at_the_address_is_unreachable() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::with_settings(&format!("http://{unused}/"), quick()).unwrap();
    assert!(matches!(client.health().await, Err(Error::Unreachable(_))));
    assert!(matches!(client.generate(&chair()).await, Err(Error::Unreachable(_))));
}

#[tokio::test]
async fn what_is_not_the_service_is_told_on_one_line() {
    let server = Replay::of(&[Step::Page]);
    let told = client(&server).health().await.unwrap_err().to_string();
    assert_eq!(told, "the answer does not come from the service: check the address (404)");
}

#[test]
fn what_is_no_address_is_told_with_the_right_form() {
    for wrong in ["localhost:8000", "127.0.0.1:8000", "ftp://localhost", ""] {
        let told = Client::new(wrong).unwrap_err().to_string();
        assert_eq!(told, format!("{wrong} is no address: write it like http://localhost:8000"));
    }
}
