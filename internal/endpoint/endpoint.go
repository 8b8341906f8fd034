// Package endpoint knows where the services of AWS are, for those that are asked
// without the SDK's clients.
package endpoint

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// suffixes are the domains of regions that are not in amazonaws.com, by how the
// names of the regions begin.
var suffixes = map[string]string{"cn-": "amazonaws.com.cn", "eusc-": "amazonaws.eu"}

// Of returns the URL that the SDK's client of a service, such as dynamodb, goes to
// when it is made of cfg.
func Of(cfg aws.Config, service string) string {
	if cfg.BaseEndpoint != nil {
		return *cfg.BaseEndpoint
	}
	suffix := "amazonaws.com"
	for prefix, other := range suffixes {
		if strings.HasPrefix(cfg.Region, prefix) {
			suffix = other
		}
	}
	return "https://" + service + "." + cfg.Region + "." + suffix
}
