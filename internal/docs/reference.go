package docs

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/tenantry/tenantry/internal/api"
)

const (
	jsonType    = "application/json"
	problemType = "application/problem+json"
)

// reference returns the page that describes every operation.
func (doc *document) reference() (string, error) {
	w := newWriter()
	w.open(doc.Info.Title+" API reference", true)
	w.print("<div class=\"columns\">\n")
	doc.navigation(w)
	w.print("<main id=\"main\">\n<section class=\"intro\">\n<h1>%s API</h1>\n", doc.Info.Title)
	w.print("<p class=\"lead\">%s</p>\n<p class=\"version\">Version %s</p>\n", doc.Info.Summary, doc.Info.Version)
	w.markdown(doc.Info.Description)
	w.markdown("## Commands\n\nIn the commands below, `$API` stands for the address of this API and `$TOKEN` for an access token.")
	w.print("<h2 id=\"problem\">Problem documents</h2>\n")
	doc.table(w, doc.Components.Schemas["Problem"])
	w.print("</section>\n")
	for _, t := range doc.Tags {
		w.print("<section>\n<h2 id=\"tag-%s\">%s</h2>\n", t.Name, t.Name)
		w.markdown(t.Description)
		for _, op := range doc.operations(t.Name) {
			doc.article(w, op)
		}
		w.print("</section>\n")
	}
	w.print("</main>\n</div>\n")
	return w.close()
}

func (doc *document) navigation(w *writer) {
	w.print("<nav class=\"side\" aria-label=\"Operations\">\n<ul>\n<li><a class=\"tag\" href=\"#main\">Overview</a></li>\n")
	for _, t := range doc.Tags {
		w.print("<li><a class=\"tag\" href=\"#tag-%s\">%s</a>\n<ul>\n", t.Name, t.Name)
		for _, op := range doc.operations(t.Name) {
			w.print("<li><a href=\"#%s\"><span>%s</span>%s</a></li>\n", op.ID, op.Summary, method(op))
		}
		w.print("</ul></li>\n")
	}
	w.print("</ul>\n</nav>\n")
}

func method(op operation) markup {
	return markup(fmt.Sprintf("<span class=\"method %s\">%s</span>", strings.ToLower(op.Method), op.Method))
}

// article describes one operation: in words, and beside them by example.
func (doc *document) article(w *writer, op operation) {
	w.print("<article id=\"%s\" aria-labelledby=\"%s-title\">\n<div class=\"words\">\n", op.ID, op.ID)
	w.print("<h3 id=\"%s-title\"><a href=\"#%s\">%s</a></h3>\n", op.ID, op.ID, op.Summary)
	w.print("<p class=\"endpoint\">%s <code>%s</code></p>\n", method(op), breakable(op.Path))
	w.print("<p class=\"who\"><b>Who may call it</b> %s</p>\n", callers(op))
	w.markdown(op.Description)
	doc.parameters(w, op)
	if media := op.Body.Content.get(jsonType); media.Schema != nil {
		w.print("<h4>Body</h4>\n")
		if !op.Body.Required {
			w.print("<p>May be left out.</p>\n")
		}
		doc.table(w, media.Schema)
	}
	w.print("<h4>Answers</h4>\n")
	for _, answer := range op.Responses {
		doc.answer(w, answer.name, answer.value)
	}
	w.print("</div>\n<div class=\"samples\">\n")
	samples(w, op)
	w.print("</div>\n</article>\n")
}

// callers returns the roles that may call an operation, and the scope that lets
// services in.
func callers(op operation) markup {
	var all []string
	switch {
	case slices.Equal(op.Roles, words{"public"}):
		return "<span class=\"role open\">everybody, without a token</span>"
	case slices.Equal(op.Roles, words{"any"}):
		all = append(all, "<span class=\"role\">everybody who is signed in</span>")
	default:
		for _, role := range op.Roles {
			all = append(all, "<span class=\"role\">"+role+"</span>")
		}
	}
	if op.Scope != "" {
		all = append(all, "<span class=\"role\">services with "+op.Scope+"</span>")
	}
	return markup(strings.Join(all, " "))
}

// breakable lets a path go on in the next line after a slash.
func breakable(path string) markup { return markup(strings.ReplaceAll(path, "/", "/<wbr>")) }

func (doc *document) parameters(w *writer, op operation) {
	if len(op.Parameters) == 0 {
		return
	}
	w.print("<h4>Parameters</h4>\n")
	var all []field
	for _, p := range op.Parameters {
		s := doc.follow(p.Schema)
		all = append(all, field{
			name:        p.Name,
			required:    p.Required,
			kind:        doc.kind(s) + " in the " + p.In,
			rules:       w.rules(s),
			description: p.Description,
		})
	}
	w.fields("Parameter", all)
}

// table describes the members of a schema.
func (doc *document) table(w *writer, s *schema) {
	whole := doc.follow(s)
	if whole.Items != nil {
		w.print("<p>An array. Each item:</p>\n")
		doc.table(w, whole.Items)
		return
	}
	if all := doc.fields(w, whole, ""); len(all) > 0 {
		w.fields("Member", all)
	}
}

func (w *writer) fields(what string, all []field) {
	w.print("<table class=\"fields\">\n<thead><tr><th scope=\"col\">%s</th><th scope=\"col\">Type and rules</th><th scope=\"col\">Meaning</th></tr></thead>\n<tbody>\n", what)
	for _, f := range all {
		w.print("<tr><th scope=\"row\"><code>%s</code>", f.name)
		if f.required {
			w.print(" <span class=\"required\">required</span>")
		}
		w.print("</th><td><span class=\"type\">%s</span>", f.kind)
		if len(f.rules) > 0 {
			w.markdown(strings.Join(f.rules, "; "))
		}
		w.print("</td><td>")
		w.markdown(f.description)
		w.print("</td></tr>\n")
	}
	w.print("</tbody>\n</table>\n")
}

// answer describes what an operation answers with one status, folded away but
// for its first line.
func (doc *document) answer(w *writer, status string, r response) {
	w.print("<details class=\"answer s%s\">\n<summary><b>%s</b> <span>%s</span></summary>\n", status[:1], statusText(status), plain(r.Description))
	var headers []field
	for _, h := range r.Headers {
		headers = append(headers, field{
			name:        h.name,
			kind:        doc.kind(doc.follow(h.value.Schema)),
			description: h.value.Description,
		})
	}
	if headers != nil {
		w.fields("Header", headers)
	}
	for _, c := range r.Content {
		w.print("<p class=\"media\"><code>%s</code></p>\n", c.name)
		if c.name != problemType {
			doc.table(w, c.value.Schema)
			continue
		}
		w.print("<ul class=\"kinds\">\n")
		for _, e := range c.value.Examples {
			w.print("<li><a href=\"%s\"><code>%s</code></a> %s</li>\n", api.ProblemPath+e.name, e.name, e.value.Summary)
		}
		w.print("</ul>\n")
	}
	w.print("</details>\n")
}

// statusText returns a status, or a range such as 4XX, with its name.
func statusText(status string) string {
	code, err := strconv.Atoi(status)
	if err != nil {
		return "Other " + status[:1] + "xx"
	}
	return status + " " + http.StatusText(code)
}

// plain returns a description without its marks.
func plain(description string) string {
	return strings.NewReplacer("`", "", "*", "").Replace(description)
}

// samples shows an operation by example: the request as a command, and what a
// success is answered.
func samples(w *writer, op operation) {
	examples := op.Body.Content.get(jsonType).Examples
	body := ""
	if len(examples) > 0 {
		body = w.json(&examples[0].value.Value)
	}
	w.print("<h4>Request</h4>\n")
	w.code("A request with curl", curl(op, body))
	if len(examples) > 1 {
		w.more(examples[1:])
	}
	for _, answer := range op.Responses {
		if !strings.HasPrefix(answer.name, "2") {
			continue
		}
		w.print("<h4>Answer %s</h4>\n", answer.name)
		for _, c := range answer.value.Content {
			first := c.value.Examples[0].value
			w.print("<p class=\"caption\">%s</p>\n", first.Summary)
			w.code(first.Summary, w.pretty(&first.Value))
			w.more(c.value.Examples[1:])
		}
		if len(answer.value.Content) == 0 {
			w.print("<p>No body.</p>\n")
		}
	}
}

// more shows further examples, folded away.
func (w *writer) more(all ordered[example]) {
	for _, e := range all {
		w.print("<details class=\"example\"><summary>%s</summary>\n", e.value.Summary)
		w.code(e.value.Summary, w.pretty(&e.value.Value))
		w.print("</details>\n")
	}
}

// curl returns the command that sends a request. $API and $TOKEN stand for the
// address of the API and the caller's access token.
func curl(op operation, body string) string {
	path := op.Path
	var headers []string
	if !slices.Equal(op.Roles, words{"public"}) {
		headers = append(headers, `"Authorization: Bearer $TOKEN"`)
	}
	for _, p := range op.Parameters {
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", p.Example)
		case p.Name == "Idempotency-Key":
			headers = append(headers, `"Idempotency-Key: $(uuidgen)"`)
		}
	}
	if body != "" {
		headers = append(headers, `"Content-Type: application/json"`)
	}
	command := []string{"curl"}
	if op.Method != http.MethodGet {
		command = append(command, "-X", op.Method)
	}
	lines := []string{strings.Join(append(command, `"$API`+path+`"`), " ")}
	for _, h := range headers {
		lines = append(lines, "-H "+h)
	}
	if body != "" {
		lines = append(lines, "-d '"+strings.ReplaceAll(body, "'", `'\''`)+"'")
	}
	return strings.Join(lines, " \\\n  ")
}
