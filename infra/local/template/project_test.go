package template

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	projectRoot = "../../.."
	module      = "github.com/tenantry/tenantry/"
)

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
// reads: those it asks env for, by itself or in a function of ours that it
// hands env to, or that starts it.
func variablesRead(t *testing.T, dir string) map[string]bool {
	t.Helper()
	r := reader{t: t, names: map[string]bool{}, seen: map[string]bool{}}
	for _, f := range r.parse(dir) {
		r.file = f
		ast.Inspect(f, r.visit(dir))
	}
	return r.names
}

// A reader collects the variables that code reads.
type reader struct {
	t     *testing.T
	file  *ast.File
	names map[string]bool
	seen  map[string]bool // functions
}

// parse returns the files of the package in dir, tests aside.
func (r *reader) parse(dir string) []*ast.File {
	paths, err := filepath.Glob(filepath.Join(projectRoot, dir, "*.go"))
	if err != nil {
		r.t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// visit returns what looks at the nodes of a file of the package in dir.
func (r *reader) visit(dir string) func(ast.Node) bool {
	return func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch f := call.Fun.(type) {
		case *ast.Ident:
			r.follow(dir, f.Name)
		case *ast.SelectorExpr:
			r.selector(call, f)
		}
		return true
	}
}

// selector looks at the call of x.f.
func (r *reader) selector(call *ast.CallExpr, f *ast.SelectorExpr) {
	x, ok := f.X.(*ast.Ident)
	if !ok {
		return
	}
	if x.Name == "env" && len(call.Args) > 0 {
		if name, ok := call.Args[0].(*ast.BasicLit); ok {
			text, _ := strconv.Unquote(name.Value)
			r.names[text] = true
		}
		return
	}
	takesEnv := slices.ContainsFunc(call.Args, func(a ast.Expr) bool {
		id, ok := a.(*ast.Ident)
		return ok && id.Name == "env"
	})
	if dir := r.imported(x.Name); dir != "" && (takesEnv || x.Name == "boot") {
		r.follow(dir, f.Sel.Name)
	}
}

// imported returns the directory of the package of ours that the file knows by
// name, or "".
func (r *reader) imported(name string) string {
	for _, spec := range r.file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		dir, ours := strings.CutPrefix(path, module)
		if ours && (filepath.Base(dir) == name || spec.Name != nil && spec.Name.Name == name) {
			return dir
		}
	}
	return ""
}

// follow looks at the function name of the package in dir.
func (r *reader) follow(dir, name string) {
	if r.seen[dir+"."+name] {
		return
	}
	r.seen[dir+"."+name] = true
	caller := r.file
	for _, f := range r.parse(dir) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == name {
				r.file = f
				ast.Inspect(fn, r.visit(dir))
			}
		}
	}
	r.file = caller
}
