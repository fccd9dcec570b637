//! What the files of a crate import from one another, and the circles among them.
//!
//! A file imports from another where a `use` or a path in its code names something that the other
//! defines. A name that is re-exported counts for the file that defines it, as far as the sources
//! tell: what a macro makes counts for the file that calls the macro. Three things are no imports:
//! the declaration of a module, a re-export (it makes a name known and takes nothing), and
//! whatever is compiled for tests alone.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use syn::visit::{self, Visit};
use syn::{
    Attribute, ImplItem, ImplItemConst, ImplItemFn, Item, ItemConst, ItemEnum, ItemFn, ItemImpl,
    ItemMacro, ItemMod, ItemStatic, ItemStruct, ItemTrait, ItemType, ItemUnion, ItemUse, Meta,
    UseTree, Visibility,
};

/// The sources of a crate: the text of each file by its path below `src`, with `/` between the
/// parts.
pub(crate) type Sources = BTreeMap<String, String>;

/// What each file imports: the names, by the file that defines them.
type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Files each of which imports from every other, by way of some of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Circle {
    /// The files, in the order of the alphabet.
    pub(crate) files: Vec<String>,
    /// What they import from one another.
    imports: Imports,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.files.join(" <-> "))?;
        for (file, from) in &self.imports {
            for (other, names) in from {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                write!(f, "\n    {file} takes {} from {other}", names.join(", "))?;
            }
        }
        Ok(())
    }
}

/// The circles of imports among the files of a crate.
///
/// # Panics
/// A file that is declared is not there, or is no Rust.
pub(crate) fn circles(sources: &Sources) -> Vec<Circle> {
    let imports = Crate::read(sources).imports();
    let reached: BTreeMap<&str, BTreeSet<&str>> = imports
        .keys()
        .map(|file| (file.as_str(), reachable(&imports, file)))
        .collect();
    let mut circles: Vec<Circle> = Vec::new();
    for (file, from_here) in &reached {
        let files: Vec<String> = from_here
            .iter()
            .filter(|other| {
                let back = reached.get(*other);
                back.is_some_and(|back| back.contains(file))
            })
            .map(|other| (*other).to_owned())
            .collect();
        if files.is_empty() || circles.iter().any(|circle| circle.files == files) {
            continue;
        }
        let among = |other: &String| files.contains(other);
        let mut within = imports.clone();
        within.retain(|file, from| {
            from.retain(|other, _| among(other));
            among(file)
        });
        circles.push(Circle {
            files,
            imports: within,
        });
    }
    circles
}

/// The files that a file imports from, directly or by way of others.
fn reachable<'a>(imports: &'a Imports, file: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut next = vec![file];
    while let Some(file) = next.pop() {
        for other in imports.get(file).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(other.as_str()) {
                next.push(other);
            }
        }
    }
    found
}

/// The modules of a crate. Those of a program and those of a library beside it are two trees.
#[derive(Default)]
struct Crate {
    modules: Vec<Module>,
}

/// A module: a file, or a part of one in braces.
struct Module {
    file: String,
    /// The folder of the files of its modules, with a `/` at its end unless it is `src` itself.
    folder: String,
    root: usize,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    /// The names that are defined in it.
    items: BTreeSet<String>,
    uses: Vec<Use>,
    /// Paths of two parts or more in its code.
    paths: BTreeSet<Vec<String>>,
}

/// One name of a `use`, or all of a place.
struct Use {
    path: Vec<String>,
    /// The name that it is known by; `None` for all names that are at the path.
    name: Option<String>,
    is_reexport: bool,
}

/// What a path leads to.
#[derive(Clone, Copy)]
enum Target {
    Module(usize),
    /// Something that is defined in this module.
    Item(usize),
}

/// The longest chain of re-exports that is followed: one that is longer runs in a circle.
const MAX_CHAIN: u32 = 32;

impl Crate {
    fn read(sources: &Sources) -> Self {
        let mut this = Self::default();
        for file in sources.keys() {
            let is_program = file.starts_with("bin/") && file.matches('/').count() == 1;
            if file == "lib.rs" || file == "main.rs" || is_program {
                let folder = if is_program { "bin/" } else { "" };
                this.module(sources, file, folder.to_owned(), None);
            }
        }
        this
    }

    /// Reads a file and all that it declares.
    fn module(
        &mut self,
        sources: &Sources,
        file: &str,
        folder: String,
        parent: Option<usize>,
    ) -> usize {
        let index = self.add(file, folder, parent);
        let text = sources
            .get(file)
            .unwrap_or_else(|| panic!("there is no {file}"));
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut reader = Reader {
            sources,
            tree: self,
            module: index,
        };
        reader.visit_file(&syntax);
        index
    }

    fn add(&mut self, file: &str, folder: String, parent: Option<usize>) -> usize {
        let index = self.modules.len();
        self.modules.push(Module {
            file: file.to_owned(),
            folder,
            root: parent.map_or(index, |parent| self.modules[parent].root),
            parent,
            children: BTreeMap::new(),
            items: BTreeSet::new(),
            uses: Vec::new(),
            paths: BTreeSet::new(),
        });
        index
    }

    fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (index, module) in self.modules.iter().enumerate() {
            let uses = module.uses.iter().filter(|found| !found.is_reexport);
            let named = uses.filter_map(|found| {
                let target = self.resolve(index, &found.path, 0)?;
                Some((&found.path, found.name.is_none(), target))
            });
            let written = module.paths.iter().filter_map(|path| {
                let target = self.resolve(index, path, 0)?;
                Some((path, false, target))
            });
            for (path, is_whole, target) in named.chain(written) {
                let from = match target {
                    Target::Item(from) => from,
                    Target::Module(from) if is_whole => from,
                    // The name of a module alone takes nothing from it.
                    Target::Module(_) => continue,
                };
                let from = &self.modules[from].file;
                if *from != module.file {
                    let names = imports
                        .entry(module.file.clone())
                        .or_default()
                        .entry(from.clone())
                        .or_default();
                    let mut name = path.join("::");
                    if is_whole {
                        name.push_str("::*");
                    }
                    names.insert(format!("`{name}`"));
                }
            }
        }
        imports
    }

    /// What a path in a module leads to; `None` where it leads out of the crate.
    fn resolve(&self, module: usize, path: &[String], chain: u32) -> Option<Target> {
        if chain > MAX_CHAIN {
            return None;
        }
        let (first, rest) = path.split_first()?;
        let mut target = match first.as_str() {
            "crate" => Target::Module(self.modules[module].root),
            "self" => Target::Module(module),
            "super" => Target::Module(self.modules[module].parent?),
            name => self.look_up(module, name, rest.is_empty(), chain)?,
        };
        for (index, name) in rest.iter().enumerate() {
            // What lies within an item, such as a variant, is defined with it.
            let Target::Module(inner) = target else {
                break;
            };
            target = if name == "super" {
                Target::Module(self.modules[inner].parent?)
            } else {
                let is_last = index + 1 == rest.len();
                self.look_up(inner, name, is_last, chain)
                    .unwrap_or(Target::Item(inner))
            };
        }
        Some(target)
    }

    /// What a name means in a module. One name may be a module's and an item's: at the end of a
    /// path it is the item that is meant.
    fn look_up(&self, index: usize, name: &str, is_last: bool, chain: u32) -> Option<Target> {
        let module = &self.modules[index];
        let child = module.children.get(name).copied().map(Target::Module);
        if child.is_some() && !is_last {
            return child;
        }
        if module.items.contains(name) {
            return Some(Target::Item(index));
        }
        let named = module
            .uses
            .iter()
            .filter(|found| found.name.as_deref() == Some(name))
            .find_map(|found| self.resolve(index, &found.path, chain + 1));
        named.or(child).or_else(|| {
            let all = module.uses.iter().filter(|found| found.name.is_none());
            all.into_iter()
                .find_map(|found| match self.resolve(index, &found.path, chain + 1)? {
                    Target::Module(other) if chain < MAX_CHAIN => {
                        self.look_up(other, name, is_last, chain + 1)
                    }
                    _ => None,
                })
        })
    }
}

/// Reads what is in a module, files that it declares included.
struct Reader<'a> {
    sources: &'a Sources,
    tree: &'a mut Crate,
    module: usize,
}

impl Reader<'_> {
    fn here(&mut self) -> &mut Module {
        &mut self.tree.modules[self.module]
    }

    fn note_path(&mut self, path: Vec<String>) {
        if path.len() > 1 {
            self.here().paths.insert(path);
        }
    }

    /// Notes the paths among tokens, which a macro or an attribute may make code of.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.note_path(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                other => {
                    self.note_path(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.note_tokens(group.stream());
                    }
                }
            }
        }
        self.note_path(path);
    }

    fn note_use(&mut self, tree: &UseTree, before: &[String], is_reexport: bool) {
        let with = |name: &dyn fmt::Display| {
            let mut path = before.to_vec();
            path.push(name.to_string());
            path
        };
        let (path, name) = match tree {
            UseTree::Path(inner) => {
                self.note_use(&inner.tree, &with(&inner.ident), is_reexport);
                return;
            }
            UseTree::Group(group) => {
                for item in &group.items {
                    self.note_use(item, before, is_reexport);
                }
                return;
            }
            UseTree::Name(name) if name.ident == "self" => {
                (before.to_vec(), before.last().cloned())
            }
            UseTree::Name(name) => (with(&name.ident), Some(name.ident.to_string())),
            UseTree::Rename(rename) if rename.ident == "self" => {
                (before.to_vec(), Some(rename.rename.to_string()))
            }
            UseTree::Rename(rename) => (with(&rename.ident), Some(rename.rename.to_string())),
            UseTree::Glob(_) => (before.to_vec(), None),
        };
        self.here().uses.push(Use {
            path,
            name,
            is_reexport,
        });
    }

    fn note_module(&mut self, item: &ItemMod) {
        let name = item.ident.to_string();
        let here = self.here();
        let (file, inner) = (here.file.clone(), format!("{}{name}/", here.folder));
        let plain = format!("{}{name}.rs", here.folder);
        let child = if let Some((_, items)) = &item.content {
            let child = self.tree.add(&file, inner, Some(self.module));
            let mut reader = Reader {
                sources: self.sources,
                tree: self.tree,
                module: child,
            };
            for item in items {
                reader.visit_item(item);
            }
            child
        } else {
            assert!(
                !item.attrs.iter().any(|found| found.path().is_ident("path")),
                "{file} declares {name} at another place than its own"
            );
            let file = if self.sources.contains_key(&plain) {
                plain
            } else {
                format!("{inner}mod.rs")
            };
            self.tree
                .module(self.sources, &file, inner, Some(self.module))
        };
        self.here().children.insert(name, child);
    }
}

/// Whether something is compiled for tests alone.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = match item {
            Item::Const(ItemConst { attrs, ident, .. })
            | Item::Enum(ItemEnum { attrs, ident, .. })
            | Item::Static(ItemStatic { attrs, ident, .. })
            | Item::Struct(ItemStruct { attrs, ident, .. })
            | Item::Trait(ItemTrait { attrs, ident, .. })
            | Item::Type(ItemType { attrs, ident, .. })
            | Item::Union(ItemUnion { attrs, ident, .. }) => (attrs, Some(ident)),
            Item::Fn(ItemFn { attrs, sig, .. }) => (attrs, Some(&sig.ident)),
            Item::Macro(ItemMacro { attrs, ident, .. }) => (attrs, ident.as_ref()),
            Item::Impl(ItemImpl { attrs, .. })
            | Item::Mod(ItemMod { attrs, .. })
            | Item::Use(ItemUse { attrs, .. }) => (attrs, None),
            _ => return visit::visit_item(self, item),
        };
        if is_for_tests(attributes) {
            return;
        }
        if let Some(name) = name {
            self.here().items.insert(name.to_string());
        }
        match item {
            Item::Mod(module) => self.note_module(module),
            Item::Use(found) => {
                let is_reexport = !matches!(found.vis, Visibility::Inherited);
                self.note_use(&found.tree, &[], is_reexport);
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(ImplItemConst { attrs, .. })
            | ImplItem::Fn(ImplItemFn { attrs, .. }) => attrs.as_slice(),
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let segments = path.segments.iter();
            self.note_path(segments.map(|part| part.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, found: &'ast syn::Macro) {
        self.visit_path(&found.path);
        self.note_tokens(found.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.note_tokens(list.tokens.clone());
        }
    }

    /// Where something may be seen is no import.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let sources = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        let circles = circles(&sources);
        circles.into_iter().map(|circle| circle.files).collect()
    }

    #[test]
    fn files_that_import_from_one_another_are_a_circle() {
        let lib = ("lib.rs", "mod a; mod b; mod c; mod d;");
        let found = circles_of(&[
            lib,
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            ("b.rs", "pub struct B; fn f() { crate::c::f::<u8>(); }"),
            ("c.rs", "pub fn f<T>() -> Option<super::a::A> { None }"),
            (
                "d.rs",
                "use crate::{a::A, b, c}; fn f(_: A, _: b::B) { c::f::<A>() }",
            ),
        ]);
        assert_eq!(found, [["a.rs", "b.rs", "c.rs"]]);
        let found = circles_of(&[
            lib,
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            ("b.rs", "pub struct B;"),
            (
                "c.rs",
                "use crate::d; fn f() { d::f(); } pub const C: u8 = 1;",
            ),
            ("d.rs", "pub fn f() { println!(\"{}\", crate::c::C); }"),
        ]);
        assert_eq!(found, [["c.rs", "d.rs"]]);
    }

    #[test]
    fn a_circle_is_told_with_the_names() {
        let sources = Sources::from([
            ("lib.rs".to_owned(), "mod a; mod b;".to_owned()),
            (
                "a.rs".to_owned(),
                "use crate::b::{B, C as D}; pub struct A;".to_owned(),
            ),
            (
                "b.rs".to_owned(),
                "use super::a::*; pub struct B; pub struct C;".to_owned(),
            ),
        ]);
        let told: Vec<_> = circles(&sources).iter().map(Circle::to_string).collect();
        assert_eq!(
            told,
            [
                "a.rs <-> b.rs\n    a.rs takes `crate::b::B`, `crate::b::C` from b.rs\n    b.rs takes `super::a::*` from a.rs"
            ]
        );
    }

    #[test]
    fn a_parent_may_declare_its_children_and_not_import_from_those_that_import_from_it() {
        let child = ("a/b.rs", "use super::A; pub struct B(A);");
        for parent in ["a.rs", "a/mod.rs"] {
            let files = |text| circles_of(&[("lib.rs", "mod a;"), (parent, text), child]);
            assert!(files("mod b; pub struct A;").is_empty());
            assert!(files("mod b; pub use b::B; pub struct A;").is_empty());
            let mut circle = [[parent, "a/b.rs"].map(str::to_owned)];
            circle[0].sort();
            assert_eq!(files("mod b; use b::B; pub struct A; struct C(B);"), circle);
            assert_eq!(files("mod b; pub struct A; fn f(_: b::B) {}"), circle);
        }
    }

    #[test]
    fn a_reexport_stands_for_the_file_that_defines_the_name() {
        let lib = "mod a; mod b; pub use a::A; pub use b::{inner::C as D, *};";
        let b = "pub mod inner; pub struct B; fn f(_: crate::A) {}";
        let files = |a| {
            circles_of(&[
                ("lib.rs", lib),
                ("a.rs", a),
                ("b.rs", b),
                ("b/inner.rs", "pub struct C;"),
            ])
        };
        assert_eq!(files("pub struct A(crate::B);"), [["a.rs", "b.rs"]]);
        assert_eq!(files("use crate::B; pub struct A(B);"), [["a.rs", "b.rs"]]);
        assert!(files("pub struct A(crate::D);").is_empty());
    }

    #[test]
    fn what_macros_and_attributes_name_is_imported() {
        let files = |b| {
            circles_of(&[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "make! { A } fn f(_: crate::b::B) {}"),
                ("b.rs", b),
            ])
        };
        assert_eq!(
            files("pub struct B; make! { f(&[crate::a::A]) }"),
            [["a.rs", "b.rs"]]
        );
        assert_eq!(
            files("#[schema(example = crate::a::A)] pub struct B;"),
            [["a.rs", "b.rs"]]
        );
        assert!(files("/// Unlike [`crate::a::A`].\npub struct B;").is_empty());
    }

    #[test]
    fn tests_and_modules_in_braces_are_no_files_of_their_own() {
        let files = |b| {
            circles_of(&[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "pub struct A; fn f(_: crate::b::B) {}"),
                ("b.rs", b),
            ])
        };
        assert!(files("pub struct B; #[cfg(test)] mod tests { use crate::a::A; }").is_empty());
        assert!(files("pub struct B; #[cfg(test)] mod tests;").is_empty());
        assert!(files("pub struct B; #[cfg(test)] use crate::a::A;").is_empty());
        assert!(files("pub struct B; mod c { use super::B; } use c::D;").is_empty());
        assert_eq!(
            files("pub struct B; mod c { use crate::a::A; }"),
            [["a.rs", "b.rs"]]
        );
    }

    #[test]
    fn other_crates_are_no_part_of_it() {
        assert!(
            circles_of(&[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use uuid::uuid; use crate::b::B; pub fn json() -> B { ::b::f(); uuid::parse() }"),
                ("b.rs", "use other::a::A; use serde_json::json; pub struct B(A);"),
            ])
            .is_empty()
        );
    }
}
