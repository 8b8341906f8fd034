package docs

import (
	"crypto/sha256"
	_ "embed" // the style sheet
	"encoding/base64"
	"fmt"
	"html"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"go.yaml.in/yaml/v4"

	apidoc "github.com/tenantry/tenantry/infra/api"
)

// style is the style sheet of every page. It stands in the page itself, which
// may load nothing from anywhere.
//
//go:embed style.css
var style string

// icon is the picture of the pages in a browser's tabs.
const icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='3' fill='%23245bd6'/%3E%3Cpath d='M4 4h8v2H9v7H7V6H4z' fill='%23fff'/%3E%3C/svg%3E"

// contentPolicy allows a page its own style sheet and icon, and nothing else.
func contentPolicy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// Markup is text that is HTML already.
type markup string

// A writer writes HTML. The first error stays with it, and is returned with the
// finished page.
type writer struct {
	out strings.Builder
	md  goldmark.Markdown
	err error
}

func newWriter() *writer {
	return &writer{md: goldmark.New(goldmark.WithExtensions(extension.Table))}
}

// print writes format, in which every argument is escaped that is text.
func (w *writer) print(format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = html.EscapeString(text)
		}
	}
	fmt.Fprintf(&w.out, format, args...)
}

// markdown writes a description. HTML in it is left out.
func (w *writer) markdown(text string) {
	if err := w.md.Convert([]byte(text), &w.out); err != nil && w.err == nil {
		w.err = fmt.Errorf("render a description: %w", err)
	}
}

// code writes a block of text as it is. It can be scrolled by keyboard.
func (w *writer) code(label, text string) {
	w.print("<pre tabindex=\"0\" aria-label=\"%s\"><code>%s</code></pre>\n", label, text)
}

// json returns a part of the document as JSON.
func (w *writer) json(n *yaml.Node, options ...jsontext.Options) string {
	var out strings.Builder
	if err := apidoc.WriteJSON(jsontext.NewEncoder(&out, options...), n); err != nil && w.err == nil {
		w.err = fmt.Errorf("line %d of the document as JSON: %w", n.Line, err)
	}
	return strings.TrimSpace(out.String())
}

// pretty returns a part of the document as JSON on many lines.
func (w *writer) pretty(n *yaml.Node) string {
	return w.json(n, jsontext.Multiline(true), jsontext.WithIndent("  "))
}

// open begins a page, up to where its navigation or its content is due.
func (w *writer) open(title string, home bool) {
	w.print("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
	w.print("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
	w.print("<meta name=\"color-scheme\" content=\"light dark\">\n<title>%s</title>\n", title)
	w.print("<link rel=\"icon\" href=\"%s\">\n<style>%s</style>\n</head>\n<body>\n", markup(icon), markup(style))
	w.print("<a class=\"skip\" href=\"#main\">Skip to the content</a>\n<header class=\"top\">")
	w.print("<a class=\"brand\" href=\"/docs\"><b>Tenantry</b> API</a><nav aria-label=\"Documentation\">")
	w.print("<a href=\"/docs\"%s>Reference</a>", current(home))
	w.print("<a href=\"/docs/problems\"%s>Problems</a>", current(!home))
	w.print("<a href=\"/openapi.json\">OpenAPI</a></nav></header>\n")
}

func current(is bool) markup {
	if is {
		return " aria-current=\"true\""
	}
	return ""
}

// close ends a page and returns it.
func (w *writer) close() (string, error) {
	w.print("</body>\n</html>\n")
	return w.out.String(), w.err
}
