// What every server here answers from: a schema of the shape that is asked for, an account in memory, one token.
export const typeDefs = `
  enum TierName { FREE STARTER PRO ENTERPRISE }
  enum ServiceStatus { ACTIVE READ_ONLY SUSPENDED CANCELLED }
  type CpuMetrics { percent: Float }
  type RamMetrics { megabytesUsed: Float }
  type ActivityMetrics { apiCallsPerHour: Int }
  type ResourceMetrics { cpu: CpuMetrics! ram: RamMetrics! activity: ActivityMetrics! }
  type Account { id: ID! tier: TierName! status: ServiceStatus! metrics: ResourceMetrics! }
  type Query { me: Account! }
`

const account = {
  id: '0198f1c2-7d3e-7a40-9c55-2b1f6e0a4d11',
  tier: 'ENTERPRISE',
  status: 'ACTIVE',
  metrics: { cpu: { percent: 1.81 }, ram: { megabytesUsed: 543 }, activity: { apiCallsPerHour: 2580 } }
}

const expected = `Bearer ${process.env.EDGE_TOKEN}`

export const isKnown = authorization => authorization === expected

export const resolvers = {
  Query: {
    me(_root, _arguments, context) {
      if (!context.isKnown) throw new Error('who are you?')
      return account
    }
  }
}

export const ready = port => console.log(`ready ${port}`)
