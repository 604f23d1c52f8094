SELECT metric, label, number FROM cixml.state_numbers()
UNION ALL
SELECT metric, label, number FROM cixml.recent_numbers()
