// Blnk's loyalty tutorial through the official TypeScript SDK, unmodified: only its address and key are set.
// Run: GUERDON_BLNK_URL=http://127.0.0.1:8080/blnk GUERDON_KEY=... node loyalty.mjs
import assert from 'node:assert/strict';
import {BlnkInit} from '@blnkfinance/blnk-typescript';

const silent = {info() {}, error() {}, debug() {}};
const blnk = BlnkInit(process.env.GUERDON_KEY ?? '', {
  baseUrl: process.env.GUERDON_BLNK_URL,
  logger: silent,
});

/** The SDK never throws: it wraps each answer as {status, message, data}. */
function done(answer, status) {
  assert.equal(answer.status, status, `${answer.message} ${JSON.stringify(answer.data)}`);
  return answer.data;
}

const post = async body => done(await blnk.Transactions.create(body), 201);

/** A queued post is QUEUED at first; what became of it stands under `<reference>_q`. */
async function outcome(queued) {
  assert.equal(queued.status, 'QUEUED');
  const child = done(await blnk.Transactions.getByReference(`${queued.reference}_q`), 200);
  assert.equal(child.parent_transaction, queued.transaction_id);
  return child.status;
}

async function internal(indicator, currency) {
  const answer = await blnk.LedgerBalances.getByIndicator(indicator, currency);
  if (answer.status === 404) return {balance: 0, debit_balance: 0, credit_balance: 0};
  return done(answer, 200);
}

async function run(pointsToAward) {
  const stamp = `${Date.now()}-${pointsToAward}`;
  const poolBefore = await internal('@PointsPool', 'POINTS');
  const revenueBefore = await internal('@RevenueUSD', 'USD');

  const identity = done(
    await blnk.Identity.create({
      identity_type: 'individual',
      first_name: 'Alice',
      last_name: 'Johnson',
      email_address: 'alice@example.com',
      phone_number: '+1234567890',
      category: 'customer',
      street: '1 Main Street',
      city: 'Lagos',
      state: 'Lagos',
      country: 'NG',
      post_code: '100001',
      nationality: 'Nigerian',
      gender: 'female',
      dob: new Date('1990-05-17'),
    }),
    201,
  );
  const mainLedger = done(
    await blnk.Ledgers.create({
      name: 'Customer Main Wallets',
      meta_data: {description: 'Ledger for customer USD wallets'},
    }),
    201,
  );
  const pointsLedger = done(
    await blnk.Ledgers.create({
      name: 'Customer Points Wallets',
      meta_data: {description: 'Ledger for customer loyalty points'},
    }),
    201,
  );
  const wallet = async (ledger, currency, type) =>
    done(
      await blnk.LedgerBalances.create({
        ledger_id: ledger.ledger_id,
        identity_id: identity.identity_id,
        currency,
        meta_data: {wallet_type: type, status: 'active'},
      }),
      201,
    );
  const main = await wallet(mainLedger, 'USD', 'main');
  const points = await wallet(pointsLedger, 'POINTS', 'points');
  assert.equal(main.balance, 0);

  const funding = await post({
    precise_amount: 100000,
    precision: 100,
    reference: `funding-${stamp}`,
    currency: 'USD',
    source: '@WorldUSD',
    destination: main.balance_id,
    description: 'Initial deposit',
    allow_overdraft: true,
    meta_data: {transaction_type: 'deposit', channel: 'bank_transfer'},
  });
  assert.equal(await outcome(funding), 'APPLIED');

  // A purchase of 100 dollars, and points for it.
  const purchaseReference = `purchase-${stamp}`;
  const purchase = await post({
    precise_amount: 100 * 100,
    precision: 100,
    reference: purchaseReference,
    currency: 'USD',
    source: main.balance_id,
    destination: '@RevenueUSD',
    description: 'Product purchase',
    meta_data: {transaction_type: 'purchase'},
  });
  assert.equal(await outcome(purchase), 'APPLIED');
  const award = await post({
    precise_amount: pointsToAward,
    precision: 1,
    reference: `points-${purchaseReference}`,
    currency: 'POINTS',
    source: '@PointsPool',
    destination: points.balance_id,
    description: 'Loyalty points award',
    allow_overdraft: true,
    meta_data: {purchase_reference: purchaseReference, purchase_amount: 100},
  });
  assert.equal(await outcome(award), 'APPLIED');

  // 200 points make 20 dollars off the next 100.
  const redemptionReference = `redemption-${stamp}`;
  const redemption = await post({
    precise_amount: 200,
    precision: 1,
    reference: redemptionReference,
    currency: 'POINTS',
    source: points.balance_id,
    destination: '@PointsPool',
    description: 'Points redemption for discount',
    meta_data: {transaction_type: 'redemption', convert_to_usd: 200 / 10},
  });
  const redeemed = await outcome(redemption);
  const discounted = await post({
    precise_amount: (100 - 200 / 10) * 100,
    precision: 100,
    reference: `purchase-${redemptionReference}`,
    currency: 'USD',
    source: main.balance_id,
    destination: '@RevenueUSD',
    description: 'Discounted purchase with points',
    meta_data: {redemption_reference: redemptionReference, original_amount: 100, points_redeemed: 200},
  });
  assert.equal(await outcome(discounted), 'APPLIED');

  const pool = await internal('@PointsPool', 'POINTS');
  const revenue = await internal('@RevenueUSD', 'USD');
  return {
    main: done(await blnk.LedgerBalances.get(main.balance_id), 200).balance,
    points: done(await blnk.LedgerBalances.get(points.balance_id), 200).balance,
    redemption: redeemed,
    pool_debit: pool.debit_balance - poolBefore.debit_balance,
    pool_credit: pool.credit_balance - poolBefore.credit_balance,
    pool_balance: pool.balance - poolBefore.balance,
    revenue: revenue.balance - revenueBefore.balance,
  };
}

const figures = {500: await run(500), 10: await run(10)};
console.log(JSON.stringify(figures));
