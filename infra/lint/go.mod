module github.com/tenantry/tenantry/infra/lint

go 1.26.0
