use super::*;
use crate::screen::Identity;

const READY: View = View::Ready { results: 0 };

fn scene(view: View) -> Scene {
    Scene { identity: Identity::default(), view }
}

/// Shows views, each drawn by `draw`; what pictures are then taken, and what is then in the folder.
fn show<const N: usize>(
    draw: fn(&Scene, ScreenSize, Language) -> Frame,
    views: [View; N],
) -> [(Option<Vec<u8>>, Vec<u8>); N] {
    let folder = tempfile::tempdir().unwrap();
    let sink = Folder::create(folder.path()).unwrap();
    let file = sink.file().to_owned();
    let (size, language) = (ScreenSize::default(), Language::English);
    let display = Display::start_with(Sinks { size, language, folder: Some(sink), framebuffer: None }, draw);
    views.map(|view| {
        let (sender, taken) = channel();
        display.show(scene(view));
        display.screenshot(move |png| sender.send(png).unwrap());
        (taken.recv().unwrap(), std::fs::read(&file).unwrap())
    })
}

fn file_of(view: View) -> Vec<u8> {
    png(&draw(&scene(view), ScreenSize::default(), Language::English)).unwrap()
}

#[test]
fn a_panic_over_one_scene_shows_an_error_and_ends_nothing() {
    let fragile = |scene: &Scene, size, language| match scene.view {
        View::Ready { .. } => panic!("as if the drawing were wrong"),
        _ => draw(scene, size, language),
    };
    let shown = show(fragile, [View::Stopped, READY, View::About]);
    let failed = View::error(Trouble::Failed("the screen could not be drawn".to_owned()));
    for ((taken, kept), wanted) in shown.into_iter().zip([View::Stopped, failed, View::About].map(file_of)) {
        assert!(taken.as_ref() == Some(&wanted) && kept == wanted);
    }
}

#[test]
fn what_cannot_be_shown_is_shown_as_soon_as_that_is_possible() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Folder::create(&folder.path().join("screen")).unwrap();
    let file = sink.file().to_owned();
    std::fs::remove_dir(folder.path().join("screen")).unwrap();
    let (size, language) = (ScreenSize::default(), Language::English);
    let display = Display::start(Sinks { size, language, folder: Some(sink), framebuffer: None });
    display.show(scene(View::Stopped));
    let (sender, taken) = channel();
    display.screenshot(move |png| sender.send(png).unwrap());
    assert_eq!(taken.recv().unwrap(), Some(file_of(View::Stopped)), "it was drawn");
    assert!(display.is_failing());
    std::fs::create_dir(folder.path().join("screen")).unwrap();
    let limit = std::time::Instant::now() + Duration::from_secs(60);
    while !file.exists() {
        assert!(std::time::Instant::now() < limit, "it is never tried again");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(std::fs::read(&file).unwrap(), file_of(View::Stopped));
    display.show(scene(READY));
    display.settle(Duration::from_secs(60));
    assert!(!display.is_failing());
}

#[test]
fn a_screen_that_has_stopped_is_noticed_and_not_waited_for() {
    let (begun, begins) = channel();
    let (go, goes) = channel();
    let slow = move |scene: &Scene, size, language| {
        begun.send(()).unwrap();
        goes.recv().unwrap();
        draw(scene, size, language)
    };
    let (size, language) = (ScreenSize::default(), Language::English);
    let mut display = Display::start_with(Sinks { size, language, folder: None, framebuffer: None }, slow);
    let much_later = || Instant::now() + 10 * TURN_WITHIN;
    assert!(!display.has_stopped(much_later()), "nothing is to be shown");
    display.show(scene(READY));
    begins.recv().unwrap();
    assert!(!display.has_stopped(Instant::now()) && display.has_stopped(much_later()));
    // Newer ones do not give the one before more time.
    display.show(scene(View::About));
    let ordered = Instant::now();
    assert!(display.has_stopped(ordered + TURN_WITHIN));
    go.send(()).unwrap();
    begins.recv().unwrap();
    assert!(display.has_stopped(much_later()), "the second one has not had its turn");
    let (sender, taken) = channel();
    display.screenshot(move |png| sender.send(png).unwrap());
    go.send(()).unwrap();
    assert_eq!(taken.recv().unwrap(), Some(file_of(View::About)));
    assert!(!display.has_stopped(much_later()), "both have had their turn");
    display.show(scene(READY));
    begins.recv().unwrap();
    display.set_turn_within(Duration::ZERO);
    drop(display);
    go.send(()).unwrap();
}

#[test]
fn a_screen_that_cannot_even_show_an_error_is_blank() {
    let broken = |scene: &Scene, size, language| match scene.view {
        View::Stopped => draw(scene, size, language),
        _ => panic!("as if the drawing were wrong"),
    };
    let [_, (taken, kept), (again, _)] = show(broken, [View::Stopped, READY, View::Stopped]);
    assert_eq!(taken, None);
    let blank = image::load_from_memory(&kept).unwrap().into_rgb8();
    assert!(blank.iter().all(|&value| value == 0));
    assert_eq!(again, Some(file_of(View::Stopped)));
}
