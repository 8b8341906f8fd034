package template

import (
	"go/ast"
	"go/parser"
	"go/token"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const projectRoot = "../../.."

// project loads the project's own templates. That there is no cycle in them is
// part of it.
func project(t *testing.T) *Template {
	t.Helper()
	root, err := Load(filepath.Join(projectRoot, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// functionsByDir returns the functions of all templates by their directories.
func functionsByDir(t *testing.T) map[string]*Resource {
	t.Helper()
	all := map[string]*Resource{}
	project(t).All(func(nested *Template) {
		for _, r := range nested.Resources() {
			if r.Type != FunctionType {
				continue
			}
			uri := value(r.props, "CodeUri")
			if uri == nil {
				t.Errorf("%s has no CodeUri", r.ID)
				continue
			}
			dir := strings.TrimSuffix(uri.Value, "/")
			if all[dir] != nil {
				t.Errorf("%s and %s have one directory, %s", r.ID, all[dir].ID, dir)
			}
			all[dir] = r
		}
	})
	return all
}

func TestFunctionsHaveDirectories(t *testing.T) {
	functions := functionsByDir(t)
	for dir, r := range functions {
		if _, err := os.Stat(filepath.Join(projectRoot, dir, "main.go")); err != nil {
			t.Errorf("%s: %v", r.ID, err)
		}
		if want := pascal(filepath.Base(dir)); r.ID != want {
			t.Errorf("the function in %s is called %s, want %s", dir, r.ID, want)
		}
	}
	programs, err := filepath.Glob(filepath.Join(projectRoot, "functions/*/main.go"))
	if err != nil || len(programs) == 0 {
		t.Fatalf("found no functions: %v", err)
	}
	for _, program := range programs {
		if dir := "functions/" + filepath.Base(filepath.Dir(program)); functions[dir] == nil {
			t.Errorf("no resource has the CodeUri %s/", dir)
		}
	}
}

// pascal gives the logical ID that goes with the directory name.
func pascal(name string) string {
	var id strings.Builder
	for part := range strings.SplitSeq(name, "-") {
		id.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return id.String()
}

func TestRoutesAppearOnce(t *testing.T) {
	seen := map[string]string{}
	project(t).All(func(nested *Template) {
		routes, err := nested.Routes()
		if err != nil {
			t.Fatal(err)
		}
		for _, route := range routes {
			// Two routes that differ in a parameter's name only are one.
			key := route.Method + " " + regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(route.Path, "{}")
			if other, ok := seen[key]; ok {
				t.Errorf("%s %s is a route of both %s and %s", route.Method, route.Path, other, route.Function)
			}
			seen[key] = route.Function
		}
	})
}

func TestParametersAndOutputsAreDescribed(t *testing.T) {
	project(t).All(func(nested *Template) {
		for _, p := range nested.Parameters() {
			if p.Description == "" {
				t.Errorf("%s: parameter %s has no description", nested.Path, p.Name)
			}
		}
		for _, o := range nested.Outputs() {
			if o.Description == "" {
				t.Errorf("%s: output %s has no description", nested.Path, o.Name)
			}
		}
	})
}

// TestVariables finds variables that a function reads and the template does not
// set for it, and those that are set and not read: by the function itself, or,
// for what Globals set, by any.
func TestVariables(t *testing.T) {
	functions := functionsByDir(t)
	global := slices.Collect(maps.Keys(variables(t, &Resource{props: project(t).globals[FunctionType]})))
	readByAny := map[string]bool{}
	for dir, r := range functions {
		set, read := variables(t, r), variablesRead(t, dir)
		for name := range read {
			readByAny[name] = true
			if !set[name] {
				t.Errorf("%s reads %s, which %s does not set", dir, name, r.ID)
			}
		}
		for name := range set {
			if !read[name] && !slices.Contains(global, name) {
				t.Errorf("%s sets %s, which %s does not read", r.ID, name, dir)
			}
		}
	}
	for _, name := range global {
		if !readByAny[name] {
			t.Errorf("Globals set %s, which no function reads", name)
		}
	}
}

// variables returns the names of the variables that r sets.
func variables(t *testing.T, r *Resource) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := value(value(r.props, "Environment"), "Variables")
	if declared == nil {
		return names
	}
	members, err := entries(declared)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		names[m.key] = true
	}
	return names
}

// variablesRead returns the names of the variables that the function in dir
// reads: those that it asks env for, and those that the function of package
// boot does that starts it, or the one below that starts all.
func variablesRead(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, f := range parse(t, dir) {
		collect(f, names)
		for _, starter := range append(called(f, "boot"), "run") {
			collect(declaration(t, "internal/boot", starter), names)
		}
	}
	return names
}

// declaration returns the function of that name of the package in dir.
func declaration(t *testing.T, dir, name string) *ast.FuncDecl {
	t.Helper()
	for _, f := range parse(t, dir) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == name && fn.Recv == nil {
				return fn
			}
		}
	}
	t.Fatalf("package %s has no function %s", dir, name)
	return nil
}

// parse returns the files of the package in dir, tests aside.
func parse(t *testing.T, dir string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(projectRoot, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// collect adds to names the variables that the code in n asks env for.
func collect(n ast.Node, names map[string]bool) {
	for call := range calls(n, "env") {
		if len(call.Args) == 0 {
			continue
		}
		if name, ok := call.Args[0].(*ast.BasicLit); ok {
			text, _ := strconv.Unquote(name.Value)
			names[text] = true
		}
	}
}

// called returns the functions of the package pkg that the code in n calls.
func called(n ast.Node, pkg string) []string {
	var all []string
	for call := range calls(n, pkg) {
		all = append(all, call.Fun.(*ast.SelectorExpr).Sel.Name)
	}
	return all
}

// calls gives the calls x.f(…) in n.
func calls(n ast.Node, x string) iter.Seq[*ast.CallExpr] {
	return func(yield func(*ast.CallExpr) bool) {
		for n := range ast.Preorder(n) {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				continue
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok {
				if id, ok := f.X.(*ast.Ident); ok && id.Name == x && !yield(call) {
					return
				}
			}
		}
	}
}
