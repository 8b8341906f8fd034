package docs

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/fault"
)

// A problem is one kind of problem, as its page describes it. The OpenAPI
// document holds an example of each, whose description is the page's text.
type problem struct {
	kind    string
	status  int
	example example
}

// problems returns all kinds, in the order in which they are written.
func (doc *document) problems() []problem {
	var all []problem
	for _, e := range doc.Components.Examples {
		if e.value.Description != "" {
			all = append(all, problem{e.name, statusOf(e.name), e.value})
		}
	}
	return all
}

// statusOf returns the status that a kind is answered with. A failure without a
// kind is internal.
func statusOf(kind string) int {
	if status, _, ok := api.Status(fault.Kind(kind)); ok {
		return status
	}
	return http.StatusInternalServerError
}

// problemIndex returns the page that lists all kinds.
func (doc *document) problemIndex() (string, error) {
	w := newWriter()
	w.open("Problems - "+doc.Info.Title+" API", false)
	w.print("<main id=\"main\" class=\"page\">\n<h1>Problems</h1>\n")
	w.markdown("An error is answered with a problem document (RFC 9457). Its `type` is one of these, and the address of a page that tells the cause and what to do.")
	w.print("<table class=\"fields problems\">\n<thead><tr><th scope=\"col\">Status</th><th scope=\"col\">Kind</th><th scope=\"col\">What it says</th></tr></thead>\n<tbody>\n")
	for _, p := range doc.problems() {
		w.print("<tr><td>%d</td><th scope=\"row\"><a href=\"%s\"><code>%s</code></a></th><td>%s</td></tr>\n", p.status, api.ProblemPath+p.kind, p.kind, p.example.Summary)
	}
	w.print("</tbody>\n</table>\n</main>\n")
	return w.close()
}

// problem returns the page of one kind, or fault.NotFound.
func (doc *document) problem(kind string) (string, error) {
	all := doc.problems()
	i := slices.IndexFunc(all, func(p problem) bool { return p.kind == kind })
	if i < 0 {
		return "", fault.New(fault.NotFound, "there is no kind of problem %q", kind)
	}
	p := all[i]
	w := newWriter()
	w.open(p.example.Summary+" - "+doc.Info.Title+" API", false)
	w.print("<main id=\"main\" class=\"page\">\n<p class=\"crumbs\"><a href=\"/docs/problems\">Problems</a></p>\n")
	w.print("<h1>%s</h1>\n<p class=\"facts\"><b>%s</b> <code>%s</code></p>\n", p.example.Summary, statusText(strconv.Itoa(p.status)), api.ProblemPath+p.kind)
	w.markdown(p.example.Description)
	w.print("<h2>Example</h2>\n")
	w.code("An example of this problem", w.pretty(&p.example.Value))
	doc.askedBy(w, p.kind)
	w.print("</main>\n")
	return w.close()
}

// askedBy lists the operations that may answer the kind.
func (doc *document) askedBy(w *writer, kind string) {
	var all []operation
	for _, path := range doc.Paths {
		for _, op := range path.value.Operations {
			if op.mayAnswer(kind) {
				all = append(all, op)
			}
		}
	}
	if len(all) == 0 {
		return
	}
	w.print("<h2>Operations that may answer it</h2>\n<ul class=\"operations\">\n")
	for _, op := range all {
		w.print("<li><a href=\"/docs#%s\">%s <code>%s</code></a></li>\n", op.ID, method(op), breakable(op.Path))
	}
	w.print("</ul>\n")
}

func (op operation) mayAnswer(kind string) bool {
	for _, answer := range op.Responses {
		for _, e := range answer.value.Content.get(problemType).Examples {
			if e.name == kind {
				return true
			}
		}
	}
	return false
}
