// Package docs serves the OpenAPI document, and pages for people: the reference,
// and one page for each kind of problem. All of them are made from the OpenAPI
// document. It calls no service.
package docs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"sync"

	apidoc "github.com/tenantry/tenantry/infra/api"
	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// maxAge is for how long a copy of a page is good. A new version of the API may
// be here after that.
const maxAge = "public, max-age=300"

// A Page is one document as it is sent.
type Page struct {
	ContentType string
	Policy      string // what the page may load: its Content-Security-Policy
	Body        string
}

// A Site makes the pages, each when it is first asked for. It may be used by many
// goroutines at once.
type Site struct {
	document func() (*document, error)
	pages    sync.Map // of those that were made, by path
}

// NewSite returns the pages of the OpenAPI document.
func NewSite() *Site { return &Site{document: sync.OnceValues(readDocument)} }

// GetDocs serves GET /openapi.json, /docs and /docs/{path+}. It answers 404 for
// a page that is not there.
func GetDocs(site *Site) api.Operation {
	return api.Operation{
		Name:  "GetDocs",
		Allow: identity.Public(),
		Handle: func(_ context.Context, r *api.Request) (*api.Response, error) {
			page, err := site.Page(r.URI)
			if err != nil {
				return nil, err
			}
			resp := &api.Response{
				Status: http.StatusOK,
				Header: map[string]string{
					"content-type":            page.ContentType,
					"content-security-policy": page.Policy,
					"cache-control":           maxAge,
				},
				Body: page.Body,
			}
			return resp.WithVersion(page.version()), nil
		},
	}
}

// Page returns the page at path, or fault.NotFound.
func (s *Site) Page(path string) (Page, error) {
	if page, ok := s.pages.Load(path); ok {
		return page.(Page), nil
	}
	page, err := s.render(path)
	if err != nil {
		return Page{}, fmt.Errorf("page %s: %w", path, err)
	}
	s.pages.Store(path, page)
	return page, nil
}

func (s *Site) render(path string) (Page, error) {
	if path == "/openapi.json" {
		text, err := apidoc.JSON()
		return Page{jsonType, "default-src 'none'; frame-ancestors 'none'", string(text)}, err
	}
	doc, err := s.document()
	if err != nil {
		return Page{}, err
	}
	var text string
	switch kind, ok := strings.CutPrefix(path, api.ProblemPath); {
	case path == "/docs":
		text, err = doc.reference()
	case path == strings.TrimSuffix(api.ProblemPath, "/"):
		text, err = doc.problemIndex()
	case ok:
		text, err = doc.problem(kind)
	default:
		err = fault.New(fault.NotFound, "there is no page %q", path)
	}
	if err != nil {
		return Page{}, err
	}
	return Page{"text/html; charset=utf-8", contentPolicy(), text}, nil
}

// version returns a number that another body would hardly have.
func (p Page) version() int64 {
	sum := sha256.Sum256([]byte(p.Body))
	return int64(binary.BigEndian.Uint64(sum[:8])>>2) + 1
}
