// Blnk's loyalty tutorial through the official Go SDK, unmodified: only its address and key are set.
// The published snippet hands float64 to a *big.Int field and does not compile; here the amounts are *big.Int.
//
// Run: GUERDON_BLNK_URL=http://127.0.0.1:8080/blnk GUERDON_KEY=... go run .
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"time"

	blnkgo "github.com/blnkfinance/blnk-go"
)

type figures struct {
	Main        *big.Int `json:"main"`
	Points      *big.Int `json:"points"`
	Redemption  string   `json:"redemption"`
	PoolDebit   *big.Int `json:"pool_debit"`
	PoolCredit  *big.Int `json:"pool_credit"`
	PoolBalance *big.Int `json:"pool_balance"`
	Revenue     *big.Int `json:"revenue"`
}

type silent struct{}

func (silent) Info(string)  {}
func (silent) Error(string) {}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func internal(client *blnkgo.Client, indicator, currency string) *blnkgo.LedgerBalance {
	balance, response, err := client.LedgerBalance.GetByIndicator(indicator, currency)
	if response != nil && response.StatusCode == http.StatusNotFound {
		return &blnkgo.LedgerBalance{Balance: new(big.Int), DebitBalance: new(big.Int), CreditBalance: new(big.Int)}
	}
	check(err)
	return balance
}

// post sends a queued transaction and returns what became of it: the status of `<reference>_q`.
func post(client *blnkgo.Client, body blnkgo.CreateTransactionRequest) string {
	queued, _, err := client.Transaction.Create(body)
	check(err)
	if queued.Status != blnkgo.PryTransactionStatus("QUEUED") {
		log.Fatalf("%s is %s, not QUEUED", queued.Reference, queued.Status)
	}
	child, _, err := client.Transaction.GetByReference(queued.Reference + "_q")
	check(err)
	if child.ParentTransactionID != queued.TransactionID {
		log.Fatalf("%s has the parent %s", child.TransactionID, child.ParentTransactionID)
	}
	return string(child.Status)
}

func applied(status string) {
	if status != "APPLIED" {
		log.Fatalf("expected APPLIED, got %s", status)
	}
}

func run(client *blnkgo.Client, pointsToAward int64) figures {
	stamp := fmt.Sprint(time.Now().UnixNano())
	poolBefore := internal(client, "@PointsPool", "POINTS")
	revenueBefore := internal(client, "@RevenueUSD", "USD")

	identity, _, err := client.Identity.Create(blnkgo.Identity{
		IdentityType: "individual",
		FirstName:    "Alice",
		LastName:     "Johnson",
		EmailAddress: "alice@example.com",
		PhoneNumber:  "+1234567890",
	})
	check(err)
	mainLedger, _, err := client.Ledger.Create(blnkgo.CreateLedgerRequest{
		Name:     "Customer Main Wallets",
		MetaData: map[string]interface{}{"description": "Ledger for customer USD wallets"},
	})
	check(err)
	pointsLedger, _, err := client.Ledger.Create(blnkgo.CreateLedgerRequest{
		Name:     "Customer Points Wallets",
		MetaData: map[string]interface{}{"description": "Ledger for customer loyalty points"},
	})
	check(err)
	wallet := func(ledgerID, currency, walletType string) string {
		balance, _, err := client.LedgerBalance.Create(blnkgo.CreateLedgerBalanceRequest{
			LedgerID:   ledgerID,
			IdentityID: identity.IdentityId,
			Currency:   currency,
			MetaData:   map[string]interface{}{"wallet_type": walletType, "status": "active"},
		})
		check(err)
		return balance.BalanceID
	}
	mainWallet := wallet(mainLedger.LedgerID, "USD", "main")
	pointsWallet := wallet(pointsLedger.LedgerID, "POINTS", "points")

	applied(post(client, blnkgo.CreateTransactionRequest{
		ParentTransaction: blnkgo.ParentTransaction{
			PreciseAmount: big.NewInt(100000),
			Precision:     100,
			Reference:     "funding-" + stamp,
			Currency:      "USD",
			Source:        "@WorldUSD",
			Destination:   mainWallet,
			Description:   "Initial deposit",
		},
		AllowOverdraft: true,
	}))

	purchaseReference := "purchase-" + stamp
	applied(post(client, blnkgo.CreateTransactionRequest{
		ParentTransaction: blnkgo.ParentTransaction{
			PreciseAmount: big.NewInt(100 * 100),
			Precision:     100,
			Reference:     purchaseReference,
			Currency:      "USD",
			Source:        mainWallet,
			Destination:   "@RevenueUSD",
			Description:   "Product purchase",
			MetaData:      map[string]interface{}{"transaction_type": "purchase"},
		},
	}))
	applied(post(client, blnkgo.CreateTransactionRequest{
		ParentTransaction: blnkgo.ParentTransaction{
			PreciseAmount: big.NewInt(pointsToAward),
			Precision:     1,
			Reference:     "points-" + purchaseReference,
			Currency:      "POINTS",
			Source:        "@PointsPool",
			Destination:   pointsWallet,
			Description:   "Loyalty points award",
			MetaData: map[string]interface{}{
				"purchase_reference": purchaseReference,
				"purchase_amount":    100,
			},
		},
		AllowOverdraft: true,
	}))

	redemptionReference := "redemption-" + stamp
	redemption := post(client, blnkgo.CreateTransactionRequest{
		ParentTransaction: blnkgo.ParentTransaction{
			PreciseAmount: big.NewInt(200),
			Precision:     1,
			Reference:     redemptionReference,
			Currency:      "POINTS",
			Source:        pointsWallet,
			Destination:   "@PointsPool",
			Description:   "Points redemption for discount",
			MetaData: map[string]interface{}{
				"transaction_type": "redemption",
				"convert_to_usd":   20,
			},
		},
	})
	applied(post(client, blnkgo.CreateTransactionRequest{
		ParentTransaction: blnkgo.ParentTransaction{
			PreciseAmount: big.NewInt((100 - 20) * 100),
			Precision:     100,
			Reference:     "purchase-" + redemptionReference,
			Currency:      "USD",
			Source:        mainWallet,
			Destination:   "@RevenueUSD",
			Description:   "Discounted purchase with points",
			MetaData: map[string]interface{}{
				"redemption_reference": redemptionReference,
				"original_amount":      100,
				"points_redeemed":      200,
			},
		},
	}))

	pool := internal(client, "@PointsPool", "POINTS")
	revenue := internal(client, "@RevenueUSD", "USD")
	main, _, err := client.LedgerBalance.Get(mainWallet)
	check(err)
	points, _, err := client.LedgerBalance.Get(pointsWallet)
	check(err)
	moved := func(after, before *big.Int) *big.Int { return new(big.Int).Sub(after, before) }
	return figures{
		Main:        main.Balance,
		Points:      points.Balance,
		Redemption:  redemption,
		PoolDebit:   moved(pool.DebitBalance, poolBefore.DebitBalance),
		PoolCredit:  moved(pool.CreditBalance, poolBefore.CreditBalance),
		PoolBalance: moved(pool.Balance, poolBefore.Balance),
		Revenue:     moved(revenue.Balance, revenueBefore.Balance),
	}
}

func main() {
	address, err := url.Parse(os.Getenv("GUERDON_BLNK_URL"))
	check(err)
	key := os.Getenv("GUERDON_KEY")
	client := blnkgo.NewClient(address, &key, blnkgo.WithLogger(silent{}))
	check(json.NewEncoder(os.Stdout).Encode(map[string]figures{"500": run(client, 500), "10": run(client, 10)}))
}
