//! Files under `src/` name each other without circles: each can be read after those that it is made of.
//!
//! What a file names counts for the file that defines it, however it is imported; tests don't count. One kind of circle is
//! allowed, of a parent (`x/mod.rs`, or `x.rs`) and files of `x/`: the parent is made of them, and they use its types and
//! constants. They may not call its functions, and without the parent there is no circle left among them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::graph::Graph;

/// What may name what though that closes a circle, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("flow/types.rs", "flow/control.rs", "a step holds flows, and flows hold steps"),
    ("flow/types.rs", "flow/session/types.rs", "a step holds flows, and flows hold steps"),
    ("profile/written/step.rs", "profile/written/control.rs", "a step holds flows, and flows hold steps"),
    ("profile/written/step.rs", "profile/written/session.rs", "a step holds flows, and flows hold steps"),
    ("engine/pool.rs", "engine/user.rs", "a pool begins the tasks of its users, and they ask it what to do"),
    ("engine/context.rs", "engine/pool.rs", "what a worker's pools share asks all of them when a phase has drained"),
];

type Files = BTreeSet<PathBuf>;

/// Which files each file names.
struct Named(BTreeMap<PathBuf, Files>);

impl Named {
    /// All that the graph has, but for the exceptions.
    fn of(graph: &Graph, exceptions: &[(&str, &str, &str)]) -> Self {
        let is_exception = |from: &Path, to: &Path| exceptions.iter().any(|(a, b, _)| (Path::new(a), Path::new(b)) == (from, to));
        let all = graph.edges.iter().map(|(from, to)| {
            let to = to.keys().filter(|to| !is_exception(from, to)).cloned().collect();
            (from.clone(), to)
        });
        Self(all.collect())
    }

    /// The files among these that are reached from one.
    fn reached(&self, from: &Path, among: &Files) -> Files {
        let mut reached = Files::new();
        let mut pending = vec![from];
        while let Some(file) = pending.pop() {
            let next = self.0[file].iter().filter(|to| among.contains(*to));
            pending.extend(next.filter(|to| reached.insert((*to).clone())).map(PathBuf::as_path));
        }
        reached
    }

    /// The sets of these files that all reach each other.
    fn circles(&self, among: &Files) -> BTreeSet<Files> {
        let reached: BTreeMap<&PathBuf, Files> = among.iter().map(|file| (file, self.reached(file, among))).collect();
        let circle = |file: &PathBuf| reached[file].iter().filter(|other| reached[*other].contains(file)).cloned().collect();
        among.iter().map(circle).filter(|circle: &Files| circle.len() > 1).collect()
    }
}

/// Where the children of a file lie.
fn home(parent: &Path) -> PathBuf {
    if parent.ends_with("mod.rs") { parent.parent().unwrap().to_owned() } else { parent.with_extension("") }
}

/// Whether a circle is one of a parent and its children, as the module comment allows it.
fn is_of_a_parent(circle: &Files, named: &Named, graph: &Graph) -> bool {
    circle.iter().any(|parent| {
        let children: Files = circle.iter().filter(|file| *file != parent).cloned().collect();
        let calls_nothing =
            |child: &PathBuf| graph.edges[child].get(parent).is_none_or(|of| of.iter().all(|item| !item.function));
        children.iter().all(|child| child.starts_with(home(parent)) && calls_nothing(child))
            && named.circles(&children).iter().all(|circle| is_of_a_parent(circle, named, graph))
    })
}

/// The circles that aren't allowed, each with what its files name of each other.
fn wrong(graph: &Graph, exceptions: &[(&str, &str, &str)]) -> Vec<String> {
    let named = Named::of(graph, exceptions);
    let all = graph.edges.keys().cloned().collect();
    let mut circles = named.circles(&all);
    circles.retain(|circle| !is_of_a_parent(circle, &named, graph));
    let described = circles.iter().map(|circle| {
        let mut text = format!("a circle of {} files:", circle.len());
        for from in circle {
            for (to, items) in graph.edges[from].iter().filter(|(to, _)| circle.contains(*to) && named.0[from].contains(*to)) {
                let items: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
                text.push_str(&format!("\n  {} names {} of {}", from.display(), items.join(", "), to.display()));
            }
        }
        text
    });
    described.collect()
}

fn graph() -> Graph {
    Graph::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[test]
fn files_name_each_other_without_circles() {
    let wrong = wrong(&graph(), EXCEPTIONS);
    assert!(wrong.is_empty(), "move what two files share into a file below both:\n{}", wrong.join("\n"));
}

#[test]
fn every_exception_closes_a_circle() {
    let graph = graph();
    let named = Named::of(&graph, EXCEPTIONS);
    let all = graph.edges.keys().cloned().collect();
    for exception in EXCEPTIONS {
        let (from, to) = (Path::new(exception.0), Path::new(exception.1));
        assert!(graph.edges[from].contains_key(to) && named.reached(to, &all).contains(from), "not needed: {exception:?}");
    }
}

#[test]
fn circles_are_found_however_they_are_closed() {
    let found = |files: &[(&str, &str)]| {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        wrong(&Graph::of(root.path()), &[]).join("\n")
    };
    let a = ("a.rs", "use crate::b::B; pub struct A(B);");
    let of_two = "a circle of 2 files:\n  a.rs names B of b.rs\n  b.rs names A of a.rs";
    let lib = ("lib.rs", "mod a; mod b; pub use a::A;");
    assert_eq!(found(&[lib, a, ("b.rs", "use crate::a::A; pub struct B(Box<A>);")]), of_two);
    assert_eq!(found(&[lib, a, ("b.rs", "pub struct B(Box<super::A>);")]), of_two, "by a path, re-exported");
    assert_eq!(found(&[lib, a, ("b.rs", "use crate::a; pub struct B; fn f(_: a::A) {}")]), of_two, "by its module");
    assert_eq!(found(&[lib, a, ("b.rs", "use crate::{a::{A as C}}; pub struct B(Box<C>);")]), of_two, "by another name");
    let all = found(&[lib, a, ("b.rs", "use crate::a::*; pub struct B;")]);
    assert_eq!(all, "a circle of 2 files:\n  a.rs names B of b.rs\n  b.rs names * of a.rs");
    for apart in [
        "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }",
        "pub struct B; // crate::a::A",
        "use crate::a; pub struct B;",
    ] {
        assert_eq!(found(&[lib, a, ("b.rs", apart)]), "", "{apart}");
    }
    // A parent is made of its children, which use its types.
    let lib = ("lib.rs", "mod a;");
    let parent = ("a.rs", "mod b; mod c; use b::f; pub struct A; pub fn g() {} fn h() { c::f() }");
    let child = ("a/b.rs", "use super::A; pub fn f(_: A) {}");
    assert_eq!(found(&[lib, parent, child, ("a/c.rs", "use super::A; pub fn f() { super::b::f(A) }")]), "");
    let calls = found(&[lib, parent, child, ("a/c.rs", "pub fn f() { super::g() }")]);
    assert!(calls.contains("a/c.rs names g of a.rs"), "{calls}");
    let child = ("a/b.rs", "pub fn f() { super::c::f() }");
    let circle = found(&[lib, parent, child, ("a/c.rs", "use super::A; pub fn f() { super::b::f() }")]);
    assert!(circle.contains("a/b.rs names f of a/c.rs"), "{circle}");
}
