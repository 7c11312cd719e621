module guerdon.example/acceptance

go 1.25.3

require github.com/blnkfinance/blnk-go v1.3.0

require github.com/google/go-querystring v1.1.0 // indirect
